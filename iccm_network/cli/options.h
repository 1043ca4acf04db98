/* options.h: the options and arguments of the command line. */
#ifndef ICCM_CLI_OPTIONS_H
#define ICCM_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct options {
  const char *url; /* the first argument; NULL: the default address of Godot, or program */
  /* of --stdio: the program to start in place of a server's URL, its arguments, NULL; or NULL */
  char **program;
  const char *tool;
  char *const *args; /* the arguments after url and tool */
  int arg_count;
  bool json;     /* one JSON value on stdout */
  bool verbose;  /* the library's log lines on stderr */
  bool insecure; /* do not verify the TLS certificate */
  uint64_t timeout_ms;
  int count;
  int connections;
  int in_flight;
  double seconds;
  int server_pid;                                       /* 0: none */
  const char *trace;                                    /* NULL: none; "new": generate one */
  const char *component, *level, *text, *since, *until; /* for logs; NULL: not given */
  int lines;                                            /* 0: not given */
  bool follow;
  bool progress;       /* for call: show progress */
  double late_seconds; /* seconds */
  bool seconds_given;  /* --seconds was given */
  const char *name, *server_version, *description, *author, *command,
      *remote_url; /* for manifest; NULL: not given */
  int listen_port; /* for bridge: serve on this port, 0: a free one; -1: use stdio */
} options_t;

#endif
