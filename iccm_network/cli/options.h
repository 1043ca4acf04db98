/* options.h: what the command line says, for the command that it names. */
#ifndef ICCM_CLI_OPTIONS_H
#define ICCM_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct options {
  const char *url; /* NULL: Godot's, wherever that is */
  const char *tool;
  char *const *args; /* what stands behind the tool: its arguments */
  int arg_count;
  bool json;     /* one JSON value on stdout */
  bool verbose;  /* the library's log lines on stderr */
  bool insecure; /* whoever the server is, in TLS */
  uint64_t timeout_ms;
  int count;
  int connections;
  int in_flight;
  double seconds;
  int server_pid;                                       /* 0: none */
  const char *trace;                                    /* NULL: none; "new": one is made */
  const char *component, *level, *text, *since, *until; /* of logs; NULL: not given */
  int lines;                                            /* 0: not given */
  bool follow;
  bool progress;       /* of call: shown */
  double late_seconds; /* seconds */
  bool seconds_given;  /* after seconds, which were given */
} options_t;

#endif
