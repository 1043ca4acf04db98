/* stream.h: one TCP connection on libuv, in clear or in TLS: input by callback, output gathered and written
 * once for each loop turn. */
#ifndef MCP_STREAM_H
#define MCP_STREAM_H

#include "transport/tls.h"

#include <uv.h>

enum { MCP__STREAM_INPUT_BYTES = 128 * 1024, MCP__STREAM_KEEP_BYTES = 4096 };

typedef struct mcp__stream mcp__stream_t;

/* What the streams of one owner share: the place that input is read into, and who has output to write. */
typedef struct mcp__io {
  uv_prepare_t prepare; /* runs right before the loop waits, so after everything that can make output */
  mcp__stream_t *dirty;
  char *input;             /* MCP__STREAM_INPUT_BYTES */
  uint64_t received, sent; /* bytes; sent: handed to the system */
} mcp__io_t;

int mcp__io_init(mcp__io_t *io, uv_loop_t *loop);  /* 0 or UV_ENOMEM; then it has to be closed */
void mcp__io_close(mcp__io_t *io, uv_close_cb cb); /* cb gets the handle, whose data is the caller's */
void mcp__io_deinit(mcp__io_t *io);                /* after cb */

typedef struct mcp__stream_events {
  void (*on_data)(mcp__stream_t *stream, const char *data, size_t len); /* borrowed until it returns */
  void (*on_end)(mcp__stream_t *stream, int status); /* UV_EOF or an error: once; nothing is read any more;
                                                        MCP_ETLS: stream->tls says what */
  void (*before_write)(mcp__stream_t *stream);       /* a last chance to append to out; may be NULL */
  void (*on_written)(mcp__stream_t *stream);         /* out is empty again */
  void (*on_closed)(mcp__stream_t *stream);          /* after mcp__stream_close: the memory may go */
} mcp__stream_events_t;

struct mcp__stream {
  uv_tcp_t tcp;
  uv_write_t write;
  uv_shutdown_t shutdown;
  mcp__io_t *io;
  const mcp__stream_events_t *events;
  void *arg;
  mcp__buf_t out;                            /* append here, then mcp__stream_dirty() */
  mcp__buf_t writing;                        /* what libuv holds at the moment */
  mcp__tls_t *tls;                           /* NULL: in clear */
  mcp__stream_t *next_dirty, **dirty_link;   /* in io->dirty; to_dirty NULL: not in it */
  bool reading, closing, ended, fin_pending; /* finish: shut writing down once out is empty */
  bool secret;                               /* see mcp__stream_set_secret() */
};

/* The stream must not move until on_closed; nonzero: nothing to close. */
int mcp__stream_init(mcp__stream_t *stream, mcp__io_t *io, size_t max_out, const mcp__stream_events_t *events,
                     void *arg);
/* From now on everything goes through TLS, see mcp__tls_new(); before anything was read or written. 0 or
 * UV_ENOMEM. */
int mcp__stream_start_tls(mcp__stream_t *stream, mcp__tls_context_t *context, const char *host, bool verify);
/* On: heads with tokens pass, and no memory keeps what was read and written. After mcp__stream_start_tls().
 */
void mcp__stream_set_secret(mcp__stream_t *stream, bool on);
void mcp__stream_read(mcp__stream_t *stream, bool on);
void mcp__stream_dirty(mcp__stream_t *stream);
void mcp__stream_flush(mcp__stream_t *stream); /* writes now, without waiting for the loop's turn */
/* In clear, as far as they go at once. */
void mcp__stream_write_plain_now(mcp__stream_t *stream, const mcp__buf_t *message);
size_t mcp__stream_backlog(const mcp__stream_t *stream); /* bytes that the kernel has not taken yet */
size_t mcp__stream_unacked(const mcp__stream_t *stream); /* that the peer's kernel has not: a system call */
size_t mcp__stream_memory(const mcp__stream_t *stream);  /* of what waits to be written */
void mcp__stream_finish(mcp__stream_t *stream);          /* write what is there, then FIN */
void mcp__stream_close(mcp__stream_t *stream);           /* at once; again is fine */
void mcp__stream_trim(mcp__stream_t *stream);            /* gives large empty buffers back */

#endif
