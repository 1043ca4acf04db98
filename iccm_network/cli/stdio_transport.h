/* stdio_transport.h: reads lines from standard input and writes lines to standard output without blocking the
 * event loop. */
#ifndef ICCM_CLI_STDIO_TRANSPORT_H
#define ICCM_CLI_STDIO_TRANSPORT_H

#include "base/buf.h"
#include <uv.h>

enum { STDIO_TRANSPORT_CHUNK = 64 * 1024 };

typedef struct stdio_transport_events {
  /* A line without its newline, never empty; borrowed. */
  void (*on_line)(const char *text, size_t len, void *arg);
  void (*on_too_long)(void *arg);        /* a line over the limit was discarded */
  void (*on_eof)(int status, void *arg); /* end of input, once: 0 or a libuv error */
  void (*on_closed)(void *arg);          /* after stdio_transport_close() */
} stdio_transport_events_t;

typedef union stdio_transport_handle {
  uv_handle_t handle;
  uv_stream_t stream;
  uv_pipe_t pipe; /* also for sockets */
  uv_tty_t tty;
} stdio_transport_handle_t;

typedef struct stdio_transport {
  uv_loop_t *loop;
  const stdio_transport_events_t *events;
  void *arg;
  stdio_transport_handle_t in, out;
  bool in_is_file, out_is_file; /* files are always readable and writable */
  uv_fs_t file_read;
  bool file_reading; /* file_read is in progress */
  uv_write_t write;
  mcp__buf_t line;            /* incomplete input line */
  mcp__buf_t queued, writing; /* output: not yet passed to libuv; being written */
  bool reading, at_eof, too_long, closing;
  int write_error; /* a libuv error, after which output is discarded; 0: none */
  int open_handles;
  char chunk[STDIO_TRANSPORT_CHUNK];
} stdio_transport_t;

/* Reading is off at first. Returns 0 or a libuv error; close it in either case. */
int stdio_transport_open(stdio_transport_t *transport, uv_loop_t *loop, size_t max_line,
                         const stdio_transport_events_t *events, void *arg);
/* Turns reading on or off. off: the lines of a chunk already read are still delivered. on: on_eof may be
 * called from inside. */
void stdio_transport_read(stdio_transport_t *transport, bool on);
/* Writes a line. Newlines in text become blanks, which is safe in JSON. */
void stdio_transport_write_line(stdio_transport_t *transport, const char *text, size_t len);
/* Bytes of output that are not yet written. */
size_t stdio_transport_backlog(const stdio_transport_t *transport);
/* Closes the streams; unwritten output is lost. */
void stdio_transport_close(stdio_transport_t *transport);

#endif
