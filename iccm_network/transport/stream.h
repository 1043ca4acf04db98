/* stream.h: one TCP connection on libuv, in plain text or TLS. Input arrives by callback; output is collected
 * and written once for each loop iteration. */
#ifndef MCP_STREAM_H
#define MCP_STREAM_H

#include "transport/tls.h"

#include <uv.h>

enum { MCP__STREAM_INPUT_BYTES = 128 * 1024, MCP__STREAM_KEEP_BYTES = 4096 };

typedef struct mcp__stream mcp__stream_t;

/* Shared by the streams of one owner: the read buffer and the list of streams with pending output. */
typedef struct mcp__io {
  /* runs right before the loop polls, hence after all callbacks that produce output */
  uv_prepare_t prepare;
  /* Active while a stream is dirty: uv_backend_timeout() is then 0, so that another event loop that drives
   * this one does not wait before it runs prepare. */
  uv_idle_t idle;
  uv_close_cb on_closed;
  mcp__stream_t *dirty;
  char *input;             /* of MCP__STREAM_INPUT_BYTES */
  uint64_t received, sent; /* bytes; sent: passed to the kernel */
} mcp__io_t;

int mcp__io_init(mcp__io_t *io, uv_loop_t *loop);  /* 0 or UV_ENOMEM: then do not close it */
void mcp__io_close(mcp__io_t *io, uv_close_cb cb); /* cb gets prepare, whose data belongs to the caller */
void mcp__io_deinit(mcp__io_t *io);                /* after cb */

typedef struct mcp__stream_events {
  void (*on_data)(mcp__stream_t *stream, const char *data, size_t len); /* data is borrowed for the call */
  /* Called once, with UV_EOF, an error, or MCP_ETLS: then see stream->tls. Reading has stopped. */
  void (*on_end)(mcp__stream_t *stream, int status);
  void (*before_write)(mcp__stream_t *stream); /* last chance to append to out; may be NULL */
  void (*on_written)(mcp__stream_t *stream);   /* out is empty */
  void (*on_closed)(mcp__stream_t *stream);    /* after mcp__stream_close(): the memory may be freed */
} mcp__stream_events_t;

struct mcp__stream {
  uv_tcp_t tcp;
  uv_write_t write;
  uv_shutdown_t shutdown;
  mcp__io_t *io;
  const mcp__stream_events_t *events;
  void *arg;
  mcp__buf_t out;                          /* append here, then call mcp__stream_dirty() */
  mcp__buf_t writing;                      /* being written by libuv */
  mcp__tls_t *tls;                         /* NULL: plain text */
  mcp__stream_t *next_dirty, **dirty_link; /* list io->dirty; dirty_link NULL: not in it */
  /* fin_pending: shut down writing once out is empty */
  bool reading, closing, ended, fin_pending;
  bool secret; /* see mcp__stream_set_secret() */
};

/* The stream must not move until on_closed. Nonzero: there is nothing to close. */
int mcp__stream_init(mcp__stream_t *stream, mcp__io_t *io, size_t max_out, const mcp__stream_events_t *events,
                     void *arg);
/* Switches the stream to TLS, see mcp__tls_new(). Call it before anything was read or written. Returns 0 or
 * UV_ENOMEM. */
int mcp__stream_start_tls(mcp__stream_t *stream, mcp__tls_context_t *context, const char *host, bool verify);
/* While on, all buffers are wiped after use, because HTTP heads with tokens pass through them. Call it after
 * mcp__stream_start_tls(). */
void mcp__stream_set_secret(mcp__stream_t *stream, bool on);
void mcp__stream_read(mcp__stream_t *stream, bool on);
void mcp__stream_dirty(mcp__stream_t *stream);
void mcp__stream_flush(mcp__stream_t *stream); /* writes now instead of at the end of the loop iteration */
/* Writes plain text at once, as much as the kernel accepts, bypassing TLS. */
void mcp__stream_write_plain_now(mcp__stream_t *stream, const mcp__buf_t *message);
size_t mcp__stream_backlog(const mcp__stream_t *stream); /* bytes that the kernel has not accepted */
/* bytes that the peer's kernel has not acknowledged; costs a system call */
size_t mcp__stream_unacked(const mcp__stream_t *stream);
size_t mcp__stream_memory(const mcp__stream_t *stream); /* bytes allocated for pending output */
void mcp__stream_finish(mcp__stream_t *stream);         /* writes all pending output, then FIN */
void mcp__stream_close(mcp__stream_t *stream);          /* closes at once; idempotent */
void mcp__stream_trim(mcp__stream_t *stream);           /* frees large empty buffers */

#endif
