/* program.h: a program that is started with its standard input and output connected to this process: its
 * start, its lines, its end. */
#ifndef MCP_PROGRAM_H
#define MCP_PROGRAM_H

#include "transport/stdio.h"

enum {
  MCP__PROGRAM_TERM_MS = 2000, /* from the end of its input to SIGTERM, and … */
  MCP__PROGRAM_KILL_MS = 2000, /* … from there to SIGKILL */
  MCP__PROGRAM_END_MS = 1000   /* between the end of its output and its own */
};

typedef struct mcp__program mcp__program_t;

typedef struct mcp__program_events {
  void (*on_line)(mcp__buf_t *line, void *arg); /* as that of mcp__stdio_events_t */
  void (*on_discarded)(int status, void *arg);  /* a line was discarded: MCP_ETOOBIG or UV_ENOMEM */
  void (*on_written)(void *arg);
  /* It could not be started (MCP_ECONNECT), has ended, or has closed one of its streams (MCP_EDISCONNECTED):
   * once, not from within mcp__program_start(), and not after mcp__program_stop(). Stop it then. */
  void (*on_ended)(int status, const char *problem, void *arg);
  void (*on_freed)(void *arg); /* the last callback: it has ended, and all descriptors are closed */
} mcp__program_events_t;

struct mcp__program {
  uv_process_t process;
  uv_timer_t timer;
  mcp__stdio_t stdio; /* write lines here, then flush */
  const mcp__program_events_t *events;
  void *arg;
  bool running; /* the process exists */
  bool at_eof;  /* its output has ended */
  bool stopping, terminated;
  bool reported;    /* on_ended was called, or must not be */
  int start_status; /* a libuv error: it could not be started */
  int64_t exit_status;
  int exit_signal;
  int open_parts; /* process, timer, stdio */
};

/* Starts argv[0], found in PATH, with the arguments up to NULL. Its standard error is error_fd, which the
 * caller keeps; its environment is that of this process, with the variable setting ("NAME=value") in place of
 * its own. The texts are used during the call alone. Returns the program, which frees itself after
 * mcp__program_stop(); or NULL without memory or descriptors: then no callback is called. */
mcp__program_t *mcp__program_start(uv_loop_t *loop, char **argv, char *setting, int error_fd, size_t max_line,
                                   const mcp__program_events_t *events, void *arg);
/* Ends it: closes its input, once all output is written; sends SIGTERM if it then still runs after
 * MCP__PROGRAM_TERM_MS, and SIGKILL after MCP__PROGRAM_KILL_MS more. Its output is read and dropped. at_once:
 * SIGTERM is sent now. No callback but on_freed follows. */
void mcp__program_stop(mcp__program_t *program, bool at_once);

#endif
