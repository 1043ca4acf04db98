/* stdio_transport.h: standard input as lines and standard output, on a loop that never waits for either of
 * them. */
#ifndef ICCM_CLI_STDIO_TRANSPORT_H
#define ICCM_CLI_STDIO_TRANSPORT_H

#include "base/buf.h"
#include <uv.h>

enum { STDIO_TRANSPORT_CHUNK = 64 * 1024 };

typedef struct stdio_transport_events {
  /* Without its end; never an empty one; borrowed. */
  void (*on_line)(const char *text, size_t len, void *arg);
  void (*on_too_long)(void *arg);        /* instead of a line over the limit, which is gone */
  void (*on_eof)(int status, void *arg); /* of input, once: 0, or libuv's code */
  void (*on_closed)(void *arg);          /* after stdio_transport_close() */
} stdio_transport_events_t;

typedef union stdio_transport_handle {
  uv_handle_t handle;
  uv_stream_t stream;
  uv_pipe_t pipe; /* a socket, too */
  uv_tty_t tty;
} stdio_transport_handle_t;

typedef struct stdio_transport {
  uv_loop_t *loop;
  const stdio_transport_events_t *events;
  void *arg;
  stdio_transport_handle_t in, out;
  bool in_is_file, out_is_file; /* of which the system always has, and takes, all at once */
  uv_fs_t file_read;
  bool file_reading; /* file_read is under way */
  uv_write_t write;
  mcp__buf_t line;            /* begun */
  mcp__buf_t queued, writing; /* output: behind what the system holds, and that */
  bool reading, at_eof, too_long, closing;
  int write_error;  /* libuv's code: nothing can be written any more; else 0 */
  int open_handles; /* open */
  char chunk[STDIO_TRANSPORT_CHUNK];
} stdio_transport_t;

/* Reading is off at first. 0 or libuv's code; to be closed in any case. */
int stdio_transport_open(stdio_transport_t *transport, uv_loop_t *loop, size_t max_line,
                         const stdio_transport_events_t *events, void *arg);
/* off: a chunk that was read is still told of to its end. on: on_eof may fire from inside. */
void stdio_transport_read(stdio_transport_t *transport, bool on);
/* A line, whose newlines become blanks: such as may stand between the tokens of JSON. */
void stdio_transport_write_line(stdio_transport_t *transport, const char *text, size_t len);
size_t stdio_transport_backlog(const stdio_transport_t *transport); /* bytes that nobody has taken yet */
void stdio_transport_close(stdio_transport_t *transport);           /* what is not written is lost */

#endif
