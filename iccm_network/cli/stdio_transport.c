/* stdio_transport.c: lines from standard input, lines to standard output.
 *
 * Happy path: a chunk is read, its whole lines are told of, the rest waits for more; output is written at
 * once, and what the system does not take gathers. Both may be pipes, sockets, terminals or files. Failure: a
 * line over the limit is thrown away up to its end; once a reader has gone, output is thrown away. The owner
 * keeps output small by not reading on while there is too much. */
#include "stdio_transport.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "print.h"

enum { KEEP_LINE = 1 << 20, NO_LIMIT = 1 << 30 };

/* ---- input ----------------------------------------------------------------------------------------- */

static void end_line(hostio_t *hostio) {
  size_t start = mcp_text_start(hostio->line.data, hostio->line.len);
  if (hostio->too_long)
    hostio->events->on_long(hostio->arg);
  else if (hostio->line.len > start)
    hostio->events->on_line(hostio->line.data + start, hostio->line.len - start, hostio->arg);
  hostio->too_long = false;
  mcp__buf_clear(&hostio->line, KEEP_LINE);
}

static void take(hostio_t *hostio, const char *data, size_t len) {
  const char *end = data + len;
  while (data < end && !hostio->closing) {
    const char *newline = memchr(data, '\n', (size_t)(end - data));
    size_t piece = (size_t)((newline != NULL ? newline : end) - data);
    if (hostio->too_long || mcp__buf_append(&hostio->line, data, piece) != 0) {
      mcp__buf_clear(&hostio->line, 0);
      hostio->too_long = true;
    }
    if (newline != NULL && hostio->line.len > 0 && hostio->line.data[hostio->line.len - 1] == '\r')
      hostio->line.len--;
    if (newline != NULL)
      end_line(hostio);
    data += piece + (newline != NULL);
  }
}

static void end_input(hostio_t *hostio, int status) {
  hostio->ended = true;
  hostio_read(hostio, false);
  if (hostio->closing)
    return;
  end_line(hostio); /* the last one may lack its newline */
  hostio->events->on_end(status, hostio->arg);
}

static void took(hostio_t *hostio, ssize_t len) {
  if (len > 0)
    take(hostio, hostio->chunk, (size_t)len);
  else if (len < 0)
    end_input(hostio, len == UV_EOF ? 0 : (int)len);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  hostio_t *hostio = handle->data;
  (void)suggested;
  *buf = uv_buf_init(hostio->chunk, sizeof hostio->chunk);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
  (void)buf;
  took(stream->data, len);
}

static void check_closed(hostio_t *hostio) {
  if (!hostio->closing || hostio->handles > 0 || hostio->file_reading)
    return;
  mcp__buf_deinit(&hostio->line);
  mcp__buf_deinit(&hostio->waiting);
  mcp__buf_deinit(&hostio->writing);
  hostio->events->on_closed(hostio->arg);
}

static void read_file(hostio_t *hostio);

static void on_file_read(uv_fs_t *request) {
  hostio_t *hostio = request->data;
  ssize_t len = request->result;
  uv_fs_req_cleanup(request);
  hostio->file_reading = false;
  took(hostio, len == 0 ? UV_EOF : len);
  read_file(hostio);
  check_closed(hostio);
}

static void read_file(hostio_t *hostio) {
  uv_buf_t buf = uv_buf_init(hostio->chunk, sizeof hostio->chunk);
  if (!hostio->reading || hostio->file_reading)
    return;
  hostio->file_read.data = hostio;
  hostio->file_reading =
      true; /* with a callback nothing but memory can fail here, and libuv's own is not checked */
  uv_fs_read(hostio->loop, &hostio->file_read, STDIN_FILENO, &buf, 1, -1, on_file_read);
}

static void read_stream(hostio_t *hostio) {
  int status = uv_read_start(&hostio->in.stream, on_alloc, on_read);
  if (status != 0) /* it is there for writing alone */
    end_input(hostio, status);
}

void hostio_read(hostio_t *hostio, bool on) {
  on = on && !hostio->ended && !hostio->closing;
  if (on == hostio->reading)
    return;
  hostio->reading = on;
  if (hostio->in_is_file)
    read_file(hostio);
  else if (on)
    read_stream(hostio);
  else
    uv_read_stop(&hostio->in.stream);
}

/* ---- output ---------------------------------------------------------------------------------------- */

static void break_off(hostio_t *hostio, int status) {
  mcp__buf_clear(&hostio->waiting, 0);
  if (!hostio->closing)
    hostio->broken = status;
}

static void write_file(hostio_t *hostio) {
  size_t done = 0;
  while (done < hostio->waiting.len) {
    ssize_t len = write(STDOUT_FILENO, hostio->waiting.data + done, hostio->waiting.len - done);
    if (len < 0 && errno != EINTR) {
      break_off(hostio, -errno);
      return;
    }
    done += len > 0 ? (size_t)len : 0;
  }
  mcp__buf_clear(&hostio->waiting, KEEP_LINE);
}

static void write_waiting(hostio_t *hostio);

static void on_written(uv_write_t *request, int status) {
  hostio_t *hostio = request->handle->data;
  mcp__buf_clear(&hostio->writing, KEEP_LINE);
  if (status != 0)
    break_off(hostio, status);
  write_waiting(hostio);
}

static void write_waiting(hostio_t *hostio) {
  if (hostio->waiting.len == 0 || hostio->writing.len > 0 || hostio->closing)
    return;
  if (hostio->out_is_file) {
    write_file(hostio);
    return;
  }
  mcp__buf_swap(&hostio->waiting, &hostio->writing);
  uv_buf_t buf = uv_buf_init(hostio->writing.data, (unsigned)hostio->writing.len);
  int status = uv_write(&hostio->write, &hostio->out.stream, &buf, 1, on_written);
  if (status != 0) {
    mcp__buf_clear(&hostio->writing, 0);
    break_off(hostio, status);
  }
}

static void blank_newlines(char *text, size_t len) {
  for (char *at = text; (at = memchr(at, '\n', len - (size_t)(at - text))) != NULL;)
    *at = ' ';
  for (char *at = text; (at = memchr(at, '\r', len - (size_t)(at - text))) != NULL;)
    *at = ' ';
}

void hostio_write_line(hostio_t *hostio, const char *text, size_t len) {
  mcp__buf_t *out = &hostio->waiting;
  if (hostio->broken != 0 || hostio->closing)
    return;
  if (mcp__buf_reserve(out, len + 1) != 0)
    checked(NULL); /* half a line would be worse than the end */
  mcp__buf_append(out, text, len);
  blank_newlines(out->data + out->len - len, len);
  mcp__buf_append(out, "\n", 1);
  write_waiting(hostio);
}

size_t hostio_backlog(const hostio_t *hostio) {
  return hostio->waiting.len + hostio->writing.len;
}

/* ---- life ------------------------------------------------------------------------------------------ */

static void on_handle_closed(uv_handle_t *handle) {
  hostio_t *hostio = handle->data;
  hostio->handles--;
  check_closed(hostio);
}

static int open_handle(hostio_t *hostio, hostio_handle_t *handle, bool *is_file, int fd) {
  uv_handle_type type = uv_guess_handle(fd);
  *is_file = type == UV_FILE;
  if (type == UV_FILE)
    return 0;
  if (type == UV_UNKNOWN_HANDLE)
    return UV_EBADF;
  int status = type == UV_TTY ? uv_tty_init(hostio->loop, &handle->tty, fd, 0)
                              : uv_pipe_init(hostio->loop, &handle->pipe, 0);
  if (status != 0)
    return status;
  handle->handle.data = hostio;
  hostio->handles++;
  return type == UV_TTY ? 0 : uv_pipe_open(&handle->pipe, fd);
}

int hostio_open(hostio_t *hostio, uv_loop_t *loop, size_t max_line, const hostio_events_t *events,
                void *arg) {
  *hostio = (hostio_t){.loop = loop, .events = events, .arg = arg};
  mcp__buf_init(&hostio->line, max_line, NULL);
  mcp__buf_init(&hostio->waiting, NO_LIMIT, NULL);
  mcp__buf_init(&hostio->writing, NO_LIMIT, NULL);
  int status = open_handle(hostio, &hostio->in, &hostio->in_is_file, STDIN_FILENO);
  return status == 0 ? open_handle(hostio, &hostio->out, &hostio->out_is_file, STDOUT_FILENO) : status;
}

void hostio_close(hostio_t *hostio) {
  hostio_read(hostio, false);
  hostio->closing = true;
  if (hostio->in.handle.data != NULL)
    uv_close(&hostio->in.handle, on_handle_closed);
  if (hostio->out.handle.data != NULL)
    uv_close(&hostio->out.handle, on_handle_closed);
  check_closed(hostio);
}
