/* cli.h: what the files of the command `iccm` share. */
#ifndef ICCM_CLI_H
#define ICCM_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <iccm_network.h>
#include "print.h"

/* The exit codes are a contract with scripts: --help and docs name them. */
enum {
  ICCM_OK = 0,
  ICCM_USAGE = 1,    /* nothing was sent: wrong usage, or this machine could not do it; trace: of nothing */
  ICCM_PROTOCOL = 2, /* a JSON-RPC error, a broken rule, a lost connection: the talk itself failed */
  ICCM_REFUSED = 3,  /* 401 or 403 */
  ICCM_UNREACHABLE = 4, /* no connection came about, for whatever reason, time included */
  ICCM_TOOL = 5,        /* the tool ran and failed */
  ICCM_TIMEOUT = 6,     /* an address has accepted the connection, but the answer did not come in time */
  ICCM_INTERRUPTED = 130
};

typedef struct options {
  const char *url; /* NULL: Godot's, wherever that is */
  const char *tool;
  char *const *words; /* what stands behind the tool: its arguments */
  int word_count;
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
  double late; /* seconds */
  bool ends;   /* after seconds, which were given */
} options_t;

/* Each command prints its answer to out, or reports why there is none, and returns an exit code. */
int list_run(const options_t *options, const print_t *out);
int call_run(const options_t *options, const print_t *out);
int ping_run(const options_t *options, const print_t *out);
int bench_run(const options_t *options, const print_t *out);
int bridge_run(const options_t *options, const print_t *out);
int listen_run(const options_t *options, const print_t *out);
int doctor_run(const options_t *options, const print_t *out);
int logs_run(const options_t *options, const print_t *out);
int stats_run(const options_t *options, const print_t *out);
int ready_run(const options_t *options, const print_t *out);
int trace_run(const options_t *options, const print_t *out);
int canary_run(const options_t *options, const print_t *out);
int dead_run(const options_t *options, const print_t *out);

#endif
