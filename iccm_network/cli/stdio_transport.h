/* stdio_transport.h: standard input as lines and standard output, on a loop that never waits for either of them. */
#ifndef ICCM_CLI_STDIO_TRANSPORT_H
#define ICCM_CLI_STDIO_TRANSPORT_H

#include "base/buf.h"
#include <uv.h>

enum { HOSTIO_CHUNK = 64 * 1024 };

typedef struct hostio_events {
  /* Without its end; never an empty one; borrowed. */
  void (*on_line)(const char *text, size_t len, void *arg);
  void (*on_long)(void *arg);            /* instead of a line over the limit, which is gone */
  void (*on_end)(int status, void *arg); /* of input, once: 0, or libuv's code */
  void (*on_closed)(void *arg);          /* after hostio_close() */
} hostio_events_t;

typedef union hostio_handle {
  uv_handle_t handle;
  uv_stream_t stream;
  uv_pipe_t pipe; /* a socket, too */
  uv_tty_t tty;
} hostio_handle_t;

typedef struct hostio {
  uv_loop_t *loop;
  const hostio_events_t *events;
  void *arg;
  hostio_handle_t in, out;
  bool in_is_file, out_is_file; /* of which the system always has, and takes, all at once */
  uv_fs_t file_read;
  bool file_reading; /* file_read is under way */
  uv_write_t write;
  mcp__buf_t line;             /* begun */
  mcp__buf_t waiting, writing; /* output: behind what the system holds, and that */
  bool reading, ended, too_long, closing;
  int broken;  /* libuv's code: nothing can be written any more; else 0 */
  int handles; /* open */
  char chunk[HOSTIO_CHUNK];
} hostio_t;

/* Reading is off at first. 0 or libuv's code; to be closed in any case. */
int hostio_open(hostio_t *hostio, uv_loop_t *loop, size_t max_line, const hostio_events_t *events, void *arg);
/* off: a chunk that was read is still told of to its end. on: on_end may fire from inside. */
void hostio_read(hostio_t *hostio, bool on);
/* A line, whose newlines become blanks: such as may stand between the tokens of JSON. */
void hostio_write_line(hostio_t *hostio, const char *text, size_t len);
size_t hostio_backlog(const hostio_t *hostio); /* bytes that nobody has taken yet */
void hostio_close(hostio_t *hostio);           /* what is not written is lost */

#endif
