/* stream.c: the only file that reads from and writes to a socket.
 *
 * Happy path: owners append to out. Before the loop polls again, each connection writes its output with one
 * uv_try_write(). The rest that the kernel does not accept is moved to writing and written by uv_write(),
 * while new output collects in out. In TLS, input is decrypted before on_data, and output is encrypted right
 * before it is written, once the handshake is complete. Failure: a read or write error ends the stream once,
 * through on_end; nothing is freed before on_closed. */
#include "transport/stream.h"

#include <assert.h>
#include <limits.h>
#include <linux/sockios.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/ioctl.h>

static void remove_dirty(mcp__stream_t *stream) {
  if (stream->dirty_link == NULL)
    return;
  assert(*stream->dirty_link == stream);
  *stream->dirty_link = stream->next_dirty;
  if (stream->next_dirty != NULL)
    stream->next_dirty->dirty_link = stream->dirty_link;
  stream->dirty_link = NULL;
}

static void on_idle(uv_idle_t *idle) {
  (void)idle; /* on_prepare() follows */
}

static void on_prepare(uv_prepare_t *prepare) {
  mcp__io_t *io = (mcp__io_t *)((char *)prepare - offsetof(mcp__io_t, prepare));
  while (io->dirty != NULL) {
    mcp__stream_t *stream = io->dirty;
    remove_dirty(stream);
    mcp__stream_flush(stream);
  }
  uv_idle_stop(&io->idle);
}

int mcp__io_init(mcp__io_t *io, uv_loop_t *loop) {
  io->dirty = NULL;
  io->input = mcp__malloc(MCP__STREAM_INPUT_BYTES);
  if (io->input == NULL)
    return UV_ENOMEM;
  uv_prepare_init(loop, &io->prepare);
  uv_prepare_start(&io->prepare, on_prepare);
  uv_unref((uv_handle_t *)&io->prepare); /* only streams keep the loop alive */
  uv_idle_init(loop, &io->idle);
  uv_unref((uv_handle_t *)&io->idle);
  return 0;
}

static void on_idle_closed(uv_handle_t *idle) {
  mcp__io_t *io = (mcp__io_t *)((char *)idle - offsetof(mcp__io_t, idle));
  uv_close((uv_handle_t *)&io->prepare, io->on_closed);
}

void mcp__io_close(mcp__io_t *io, uv_close_cb cb) {
  io->on_closed = cb;
  uv_close((uv_handle_t *)&io->idle, on_idle_closed);
}

void mcp__io_deinit(mcp__io_t *io) {
  mcp__free(io->input);
  io->input = NULL;
}

static void fail(mcp__stream_t *stream, int status) {
  if (stream->ended || stream->closing)
    return;
  stream->ended = true;
  mcp__stream_read(stream, false);
  stream->events->on_end(stream, status);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  mcp__stream_t *stream = handle->data;
  (void)suggested;
  *buf = uv_buf_init(stream->io->input, MCP__STREAM_INPUT_BYTES);
}

static bool on_plain(void *arg, const char *data, size_t len) {
  mcp__stream_t *stream = arg;
  stream->events->on_data(stream, data, len);
  return !stream->closing && !stream->ended;
}

static void decrypt(mcp__stream_t *stream, const char *data, size_t len) {
  int status = mcp__tls_feed(stream->tls, data, len, on_plain, stream);
  if (status == MCP_ETLS)
    mcp__stream_write_plain_now(stream, &stream->tls->out); /* an alert */
  else if (status == UV_EOF)
    mcp__stream_flush(stream); /* responds to input that arrived together with the end, as without TLS */
  if (status != 0)
    fail(stream, status);
  else if (stream->tls->out.len > 0 || stream->out.len > 0)
    mcp__stream_dirty(stream);
}

static void on_read(uv_stream_t *handle, ssize_t len, const uv_buf_t *buf) {
  mcp__stream_t *stream = handle->data;
  bool secret = stream->secret; /* on_data may reset it */
  if (len > 0) {
    stream->io->received += (size_t)len;
    if (stream->tls != NULL)
      decrypt(stream, buf->base, (size_t)len);
    else
      stream->events->on_data(stream, buf->base, (size_t)len);
    if (secret)
      OPENSSL_cleanse(buf->base, (size_t)len);
  } else if (len < 0) {
    fail(stream, (int)len);
  }
}

int mcp__stream_init(mcp__stream_t *stream, mcp__io_t *io, size_t max_out, const mcp__stream_events_t *events,
                     void *arg) {
  memset(stream, 0, sizeof *stream);
  int status = uv_tcp_init(io->prepare.loop, &stream->tcp);
  stream->tcp.data = stream;
  stream->io = io;
  stream->events = events;
  stream->arg = arg;
  mcp__buf_init(&stream->out, max_out, NULL);
  mcp__buf_init(&stream->writing, max_out, NULL);
  return status;
}

int mcp__stream_start_tls(mcp__stream_t *stream, mcp__tls_context_t *context, const char *host, bool verify) {
  size_t max_out =
      stream->out.max + stream->out.max / 64 + MCP__TLS_RECORD; /* each record adds a header and a tag */
  stream->tls = mcp__tls_new(context, host, verify, max_out);
  if (stream->tls == NULL)
    return UV_ENOMEM;
  mcp__buf_init(&stream->writing, max_out, NULL);
  mcp__stream_dirty(stream);
  return 0;
}

void mcp__stream_set_secret(mcp__stream_t *stream, bool on) {
  stream->secret = on;
  stream->out.wipe = on || stream->out.len > 0;
  stream->writing.wipe = on || stream->writing.len > 0;
  if (stream->tls != NULL)
    mcp__tls_set_secret(stream->tls, on);
}

void mcp__stream_read(mcp__stream_t *stream, bool on) {
  on = on && !stream->ended && !stream->closing;
  if (on == stream->reading)
    return;
  stream->reading = on;
  int status = on ? uv_read_start((uv_stream_t *)&stream->tcp, on_alloc, on_read)
                  : uv_read_stop((uv_stream_t *)&stream->tcp);
  if (status != 0)
    fail(stream, status);
}

void mcp__stream_dirty(mcp__stream_t *stream) {
  if (stream->dirty_link != NULL || stream->closing)
    return;
  stream->next_dirty = stream->io->dirty;
  stream->dirty_link = &stream->io->dirty;
  if (stream->next_dirty != NULL)
    stream->next_dirty->dirty_link = &stream->next_dirty;
  stream->io->dirty = stream;
  uv_idle_start(&stream->io->idle, on_idle);
}

static void on_shutdown(uv_shutdown_t *request, int status) {
  (void)request; /* the peer's end of file follows, or the owner's timeout */
  (void)status;
}

static void on_output_empty(mcp__stream_t *stream) {
  if (stream->fin_pending) {
    stream->fin_pending = false;
    uv_shutdown(&stream->shutdown, (uv_stream_t *)&stream->tcp, on_shutdown);
  }
  if (stream->events->on_written != NULL)
    stream->events->on_written(stream);
}

static void on_write(uv_write_t *request, int status) {
  mcp__stream_t *stream = request->handle->data;
  mcp__buf_deinit(&stream->writing);
  if (status != 0)
    fail(stream, status);
  else if (!stream->closing)
    mcp__stream_flush(stream);
}

static void write_rest(mcp__stream_t *stream, mcp__buf_t *ready, size_t done) {
  mcp__buf_swap(ready, &stream->writing);
  uv_buf_t buf = uv_buf_init(stream->writing.data + done, (unsigned)(stream->writing.len - done));
  int status = uv_write(&stream->write, (uv_stream_t *)&stream->tcp, &buf, 1, on_write);
  if (status != 0) {
    mcp__buf_deinit(&stream->writing);
    fail(stream, status);
  }
}

/* Sets *ready to the bytes that can be written now. */
static int encrypt(mcp__stream_t *stream, mcp__buf_t **ready) {
  size_t len = stream->out.len;
  *ready = stream->tls != NULL ? &stream->tls->out : &stream->out;
  int status = stream->tls != NULL ? mcp__tls_write(stream->tls, &stream->out) : 0;
  if (stream->secret && stream->out.len < len)
    OPENSSL_cleanse(stream->out.data + stream->out.len, len - stream->out.len);
  if (stream->tls != NULL && stream->fin_pending && stream->out.len == 0)
    mcp__tls_close(stream->tls);
  return status;
}

/* Sets *done to the number of bytes that the kernel has accepted. */
static int try_write(mcp__stream_t *stream, const mcp__buf_t *ready, size_t *done) {
  *done = 0;
  if (ready->len == 0)
    return 0;
  uv_buf_t buf = uv_buf_init(ready->data, (unsigned)ready->len);
  int status = uv_try_write((uv_stream_t *)&stream->tcp, &buf, 1);
  if (status < 0 && status != UV_EAGAIN)
    return status;
  *done = status > 0 ? (size_t)status : 0;
  stream->io->sent += ready->len;
  return 0;
}

void mcp__stream_flush(mcp__stream_t *stream) {
  mcp__buf_t *ready;
  size_t done;
  if (stream->closing || stream->ended || stream->writing.len > 0)
    return; /* on_write() continues */
  if (stream->events->before_write != NULL)
    stream->events->before_write(stream);
  int status = encrypt(stream, &ready);
  if (status == 0)
    status = try_write(stream, ready, &done);
  if (status != 0) {
    fail(stream, status);
  } else if (done < ready->len) {
    write_rest(stream, ready, done);
  } else {
    if (stream->secret && ready->len > 0)
      OPENSSL_cleanse(ready->data, ready->len);
    ready->len = 0;
    if (stream->out.len == 0) /* otherwise it waits for the handshake */
      on_output_empty(stream);
  }
}

void mcp__stream_write_plain_now(mcp__stream_t *stream, const mcp__buf_t *message) {
  size_t done;
  if (!stream->closing && stream->writing.len == 0)
    try_write(stream, message, &done);
}

size_t mcp__stream_backlog(const mcp__stream_t *stream) {
  size_t encrypted = stream->tls != NULL ? stream->tls->out.len : 0;
  return stream->out.len + encrypted + uv_stream_get_write_queue_size((const uv_stream_t *)&stream->tcp);
}

size_t mcp__stream_unacked(const mcp__stream_t *stream) {
  uv_os_fd_t fd;
  /* The kernel reports room for more only when a third of its send buffer, which may be megabytes, is free.
   */
  int unacknowledged = 0;
  if (uv_fileno((const uv_handle_t *)&stream->tcp, &fd) == 0)
    (void)ioctl(fd, SIOCOUTQ, &unacknowledged);
  return mcp__stream_backlog(stream) + (size_t)unacknowledged;
}

size_t mcp__stream_memory(const mcp__stream_t *stream) {
  return stream->out.cap + stream->writing.cap + (stream->tls != NULL ? stream->tls->out.cap : 0);
}

void mcp__stream_finish(mcp__stream_t *stream) {
  stream->fin_pending = true;
  mcp__stream_dirty(stream);
}

static void on_close(uv_handle_t *handle) {
  mcp__stream_t *stream = handle->data;
  mcp__buf_deinit(&stream->out);
  mcp__buf_deinit(&stream->writing);
  mcp__tls_free(stream->tls);
  stream->tls = NULL;
  stream->events->on_closed(stream);
}

void mcp__stream_close(mcp__stream_t *stream) {
  if (stream->closing)
    return;
  mcp__stream_read(stream, false);
  stream->closing = true;
  remove_dirty(stream);
  uv_close((uv_handle_t *)&stream->tcp, on_close);
}

void mcp__stream_trim(mcp__stream_t *stream) {
  if (stream->out.len == 0)
    mcp__buf_clear(&stream->out, MCP__STREAM_KEEP_BYTES);
  if (stream->tls != NULL && stream->tls->out.len == 0)
    mcp__buf_clear(&stream->tls->out, 0);
}
