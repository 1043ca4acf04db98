/* stdio_transport.c: lines from standard input, lines to standard output.
 *
 * Happy path: reads a chunk, delivers its complete lines and keeps the rest; writes output at once and queues
 * what the system does not accept. Both streams may be pipes, sockets, terminals or files. Failure: a line
 * over the limit is discarded up to its newline; after a write error output is discarded. The owner limits
 * the queue by not reading while it is too long. */
#include "stdio_transport.h"

#include <errno.h>
#include <iccm_service.h>
#include <string.h>
#include <unistd.h>
#include "check_alloc.h"

enum { KEEP_BYTES = 1 << 20, NO_LIMIT = 1 << 30 };

/* ---- input ----------------------------------------------------------------------------------------- */

static void end_line(stdio_transport_t *transport) {
  size_t start = mcp_bom_length(transport->line.data, transport->line.len);
  if (transport->too_long)
    transport->events->on_too_long(transport->arg);
  else if (transport->line.len > start)
    transport->events->on_line(transport->line.data + start, transport->line.len - start, transport->arg);
  transport->too_long = false;
  mcp__buf_clear(&transport->line, KEEP_BYTES);
}

static void split_lines(stdio_transport_t *transport, const char *data, size_t len) {
  const char *end = data + len;
  while (data < end && !transport->closing) {
    const char *newline = memchr(data, '\n', (size_t)(end - data));
    size_t piece = (size_t)((newline != NULL ? newline : end) - data);
    if (transport->too_long || mcp__buf_append(&transport->line, data, piece) != 0) {
      mcp__buf_clear(&transport->line, 0);
      transport->too_long = true;
    }
    if (newline != NULL && transport->line.len > 0 && transport->line.data[transport->line.len - 1] == '\r')
      transport->line.len--;
    if (newline != NULL)
      end_line(transport);
    data += piece + (newline != NULL);
  }
}

static void end_input(stdio_transport_t *transport, int status) {
  transport->at_eof = true;
  stdio_transport_read(transport, false);
  if (transport->closing)
    return;
  end_line(transport); /* the last line may lack a newline */
  transport->events->on_eof(status, transport->arg);
}

static void on_input(stdio_transport_t *transport, ssize_t len) {
  if (len > 0)
    split_lines(transport, transport->chunk, (size_t)len);
  else if (len < 0)
    end_input(transport, len == UV_EOF ? 0 : (int)len);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  stdio_transport_t *transport = handle->data;
  (void)suggested;
  *buf = uv_buf_init(transport->chunk, sizeof transport->chunk);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
  (void)buf;
  on_input(stream->data, len);
}

static void check_closed(stdio_transport_t *transport) {
  if (!transport->closing || transport->open_handles > 0 || transport->file_reading)
    return;
  mcp__buf_deinit(&transport->line);
  mcp__buf_deinit(&transport->queued);
  mcp__buf_deinit(&transport->writing);
  transport->events->on_closed(transport->arg);
}

static void read_file(stdio_transport_t *transport);

static void on_file_read(uv_fs_t *request) {
  stdio_transport_t *transport = request->data;
  ssize_t len = request->result;
  uv_fs_req_cleanup(request);
  transport->file_reading = false;
  on_input(transport, len == 0 ? UV_EOF : len);
  read_file(transport);
  check_closed(transport);
}

static void read_file(stdio_transport_t *transport) {
  uv_buf_t buf = uv_buf_init(transport->chunk, sizeof transport->chunk);
  if (!transport->reading || transport->file_reading)
    return;
  transport->file_read.data = transport;
  transport->file_reading = true; /* with a callback uv_fs_read() fails only if out of memory */
  uv_fs_read(transport->loop, &transport->file_read, STDIN_FILENO, &buf, 1, -1, on_file_read);
}

static void read_stream(stdio_transport_t *transport) {
  int status = uv_read_start(&transport->in.stream, on_alloc, on_read);
  if (status != 0) /* not open for reading */
    end_input(transport, status);
}

void stdio_transport_read(stdio_transport_t *transport, bool on) {
  on = on && !transport->at_eof && !transport->closing;
  if (on == transport->reading)
    return;
  transport->reading = on;
  if (transport->in_is_file)
    read_file(transport);
  else if (on)
    read_stream(transport);
  else
    uv_read_stop(&transport->in.stream);
}

/* ---- output ---------------------------------------------------------------------------------------- */

static void fail_output(stdio_transport_t *transport, int status) {
  mcp__buf_clear(&transport->queued, 0);
  if (!transport->closing)
    transport->write_error = status;
}

static void write_file(stdio_transport_t *transport) {
  size_t done = 0;
  while (done < transport->queued.len) {
    ssize_t len = write(STDOUT_FILENO, transport->queued.data + done, transport->queued.len - done);
    if (len < 0 && errno != EINTR) {
      fail_output(transport, -errno);
      return;
    }
    done += len > 0 ? (size_t)len : 0;
  }
  mcp__buf_clear(&transport->queued, KEEP_BYTES);
}

static void write_queued(stdio_transport_t *transport);

static void on_written(uv_write_t *request, int status) {
  stdio_transport_t *transport = request->handle->data;
  mcp__buf_clear(&transport->writing, KEEP_BYTES);
  if (status != 0)
    fail_output(transport, status);
  write_queued(transport);
}

static void write_queued(stdio_transport_t *transport) {
  if (transport->queued.len == 0 || transport->writing.len > 0 || transport->closing)
    return;
  if (transport->out_is_file) {
    write_file(transport);
    return;
  }
  mcp__buf_swap(&transport->queued, &transport->writing);
  uv_buf_t buf = uv_buf_init(transport->writing.data, (unsigned)transport->writing.len);
  int status = uv_write(&transport->write, &transport->out.stream, &buf, 1, on_written);
  if (status != 0) {
    mcp__buf_clear(&transport->writing, 0);
    fail_output(transport, status);
  }
}

static void replace_newlines(char *text, size_t len) {
  for (char *at = text; (at = memchr(at, '\n', len - (size_t)(at - text))) != NULL;)
    *at = ' ';
  for (char *at = text; (at = memchr(at, '\r', len - (size_t)(at - text))) != NULL;)
    *at = ' ';
}

void stdio_transport_write_line(stdio_transport_t *transport, const char *text, size_t len) {
  mcp__buf_t *out = &transport->queued;
  if (transport->write_error != 0 || transport->closing)
    return;
  if (mcp__buf_reserve(out, len + 1) != 0)
    check_alloc(NULL); /* never write half a line */
  mcp__buf_append(out, text, len);
  replace_newlines(out->data + out->len - len, len);
  mcp__buf_append(out, "\n", 1);
  write_queued(transport);
}

size_t stdio_transport_backlog(const stdio_transport_t *transport) {
  return transport->queued.len + transport->writing.len;
}

/* ---- open and close -------------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle) {
  stdio_transport_t *transport = handle->data;
  transport->open_handles--;
  check_closed(transport);
}

static int open_handle(stdio_transport_t *transport, stdio_transport_handle_t *handle, bool *is_file,
                       int fd) {
  uv_handle_type type = uv_guess_handle(fd);
  *is_file = type == UV_FILE;
  if (type == UV_FILE)
    return 0;
  if (type == UV_UNKNOWN_HANDLE)
    return UV_EBADF;
  int status = type == UV_TTY ? uv_tty_init(transport->loop, &handle->tty, fd, 0)
                              : uv_pipe_init(transport->loop, &handle->pipe, 0);
  if (status != 0)
    return status;
  handle->handle.data = transport;
  transport->open_handles++;
  return type == UV_TTY ? 0 : uv_pipe_open(&handle->pipe, fd);
}

int stdio_transport_open(stdio_transport_t *transport, uv_loop_t *loop, size_t max_line,
                         const stdio_transport_events_t *events, void *arg) {
  *transport = (stdio_transport_t){.loop = loop, .events = events, .arg = arg};
  mcp__buf_init(&transport->line, max_line, NULL);
  mcp__buf_init(&transport->queued, NO_LIMIT, NULL);
  mcp__buf_init(&transport->writing, NO_LIMIT, NULL);
  int status = open_handle(transport, &transport->in, &transport->in_is_file, STDIN_FILENO);
  return status == 0 ? open_handle(transport, &transport->out, &transport->out_is_file, STDOUT_FILENO)
                     : status;
}

void stdio_transport_close(stdio_transport_t *transport) {
  stdio_transport_read(transport, false);
  transport->closing = true;
  if (transport->in.handle.data != NULL)
    uv_close(&transport->in.handle, on_handle_closed);
  if (transport->out.handle.data != NULL)
    uv_close(&transport->out.handle, on_handle_closed);
  check_closed(transport);
}
