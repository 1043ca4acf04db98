/* stdio.h: reads lines from an input descriptor and writes lines to an output descriptor without blocking the
 * event loop: MCP's stdio transport, for servers and for `iccm bridge`. */
#ifndef MCP_STDIO_H
#define MCP_STDIO_H

#include "base/buf.h"

#include <uv.h>

enum { MCP__STDIO_CHUNK = 64 * 1024 };

typedef struct mcp__stdio_events {
  /* A line without its newline, never empty, with space for MCP__JSON_PADDING more bytes. The buffer may be
   * swapped. */
  void (*on_line)(mcp__buf_t *line, void *arg);
  void (*on_discarded)(int status, void *arg); /* a line was discarded: MCP_ETOOBIG or UV_ENOMEM */
  void (*on_eof)(int status, void *arg);       /* end of input, once: 0 or a libuv error */
  void (*on_closed)(void *arg);                /* after mcp__stdio_close() */
  void (*on_written)(void *arg);               /* output was written, or failed; may be NULL */
} mcp__stdio_events_t;

/* A stream of one of the kinds that uv_guess_handle() knows. */
typedef struct mcp__stdio_end {
  int fd;
  bool is_file;     /* then it has no handle */
  bool has_private; /* fd has to be closed: no handle does */
  union {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_pipe_t pipe; /* also for sockets */
    uv_tty_t tty;
  };
} mcp__stdio_end_t;

typedef struct mcp__stdio {
  uv_loop_t *loop;
  const mcp__stdio_events_t *events;
  void *arg;
  mcp__stdio_end_t in, out;
  uv_fs_t file_read, file_write;
  bool file_reading; /* file_read is in progress */
  bool is_writing;
  uv_write_t write;
  size_t max_line;
  size_t chunk_at, chunk_len; /* input that was read; from chunk_at on it is not split into lines */
  mcp__buf_t line;            /* incomplete input line */
  int line_status;            /* nonzero: the current line is discarded, for this reason */
  mcp__buf_t queued, writing; /* output: not yet passed to libuv; being written */
  bool reading, splitting, at_eof, closing;
  int write_error; /* a libuv error, after which output is discarded; 0: none */
  int open_handles;
  char chunk[MCP__STDIO_CHUNK];
} mcp__stdio_t;

/* Moves standard input and output to the private descriptors fds, which the caller owns, so that nothing else
 * in the process reads or writes them: standard input is then /dev/null, standard output is standard error.
 * Once in a process. Returns 0, MCP_ESTATE the second time, or a libuv error; then nothing has changed. */
int mcp__stdio_take(int fds[2]);

/* Takes ownership of the descriptors. Reading is off at first. Returns 0 or a libuv error; close it in either
 * case. */
int mcp__stdio_open(mcp__stdio_t *stdio, uv_loop_t *loop, const int fds[2], size_t max_line,
                    const mcp__stdio_events_t *events, void *arg);
/* Turns reading on or off. off: no further line is delivered. on: lines that were read, and on_eof, may be
 * delivered from inside, except if called from on_line. */
void mcp__stdio_read(mcp__stdio_t *stdio, bool on);
/* Appends a line to the output; without a flush. Newlines between the tokens of the JSON text become blanks.
 * Returns 0 or UV_ENOMEM. */
int mcp__stdio_write_line(mcp__stdio_t *stdio, const char *text, size_t len);
/* Completes the line that was appended to queued from at on. Returns 0 or UV_ENOMEM. */
int mcp__stdio_end_line(mcp__stdio_t *stdio, size_t at);
void mcp__stdio_flush(mcp__stdio_t *stdio);
/* Bytes of output that the system has not accepted. */
size_t mcp__stdio_backlog(const mcp__stdio_t *stdio);
size_t mcp__stdio_memory(const mcp__stdio_t *stdio); /* bytes allocated for lines and output */
/* Closes the streams; unwritten output is lost. */
void mcp__stdio_close(mcp__stdio_t *stdio);

#endif
