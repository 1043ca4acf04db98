/* stdio.c: lines from standard input, lines to standard output.
 *
 * Happy path: reads a chunk, delivers its complete lines and keeps the rest; passes output to libuv and
 * queues further output meanwhile. Both streams may be pipes, sockets, terminals or files. Failure: a line
 * over the limit is discarded up to its newline; after a write error output is discarded. The owner limits
 * the queue by not reading while it is too long. */
#include "transport/stdio.h"

#include "base/json.h"
#include "iccm_service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { KEEP_BYTES = 1 << 20, NO_LIMIT = 1 << 30 };

/* ---- input ----------------------------------------------------------------------------------------- */

static void end_line(mcp__stdio_t *stdio) {
  mcp__buf_t *line = &stdio->line;
  int status = stdio->line_status;
  if (line->len > 0 && line->data[line->len - 1] == '\r')
    line->len--;
  mcp__buf_consume(line, mcp_bom_length(line->data, line->len));
  if (status == 0 && line->len > stdio->max_line)
    status = MCP_ETOOBIG;
  stdio->line_status = 0;
  if (status != 0)
    stdio->events->on_discarded(status, stdio->arg);
  else if (line->len > 0)
    stdio->events->on_line(line, stdio->arg);
  mcp__buf_clear(line, KEEP_BYTES);
}

static void append_to_line(mcp__stdio_t *stdio, const char *data, size_t len) {
  mcp__buf_t *line = &stdio->line;
  int status = stdio->line_status;
  if (status == 0)
    status = mcp__buf_reserve(line, len + MCP__JSON_PADDING);
  if (status == 0)
    mcp__buf_append(line, data, len);
  else
    mcp__buf_clear(line, 0);
  stdio->line_status = status;
}

static void split_chunk(mcp__stdio_t *stdio) {
  stdio->splitting = true;
  while (stdio->chunk_at < stdio->chunk_len && stdio->reading) {
    const char *data = stdio->chunk + stdio->chunk_at;
    size_t len = stdio->chunk_len - stdio->chunk_at;
    const char *newline = memchr(data, '\n', len);
    if (newline != NULL)
      len = (size_t)(newline - data);
    stdio->chunk_at += len + (newline != NULL);
    append_to_line(stdio, data, len);
    if (newline != NULL)
      end_line(stdio);
  }
  stdio->splitting = false;
}

static void end_input(mcp__stdio_t *stdio, int status) {
  end_line(stdio); /* the last line may lack a newline */
  stdio->at_eof = true;
  mcp__stdio_read(stdio, false);
  if (!stdio->closing)
    stdio->events->on_eof(status, stdio->arg);
}

static void on_input(mcp__stdio_t *stdio, ssize_t len) {
  if (len > 0) {
    stdio->chunk_at = 0;
    stdio->chunk_len = (size_t)len;
    split_chunk(stdio);
  } else if (len < 0 && !stdio->closing) {
    end_input(stdio, len == UV_EOF ? 0 : (int)len);
  }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  mcp__stdio_t *stdio = handle->data;
  (void)suggested;
  *buf = uv_buf_init(stdio->chunk, sizeof stdio->chunk);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
  (void)buf;
  on_input(stream->data, len);
}

static void close_descriptor(mcp__stdio_end_t *end) {
  if (end->has_private)
    close(end->fd);
}

static void check_closed(mcp__stdio_t *stdio) {
  if (!stdio->closing || stdio->open_handles > 0 || stdio->file_reading || stdio->is_writing)
    return;
  close_descriptor(&stdio->in);
  close_descriptor(&stdio->out);
  mcp__buf_deinit(&stdio->line);
  mcp__buf_deinit(&stdio->queued);
  mcp__buf_deinit(&stdio->writing);
  stdio->events->on_closed(stdio->arg);
}

static void read_file(mcp__stdio_t *stdio);

static void on_file_read(uv_fs_t *request) {
  mcp__stdio_t *stdio = request->data;
  ssize_t len = request->result;
  uv_fs_req_cleanup(request);
  stdio->file_reading = false;
  on_input(stdio, len == 0 ? UV_EOF : len);
  if (stdio->reading)
    read_file(stdio);
  check_closed(stdio);
}

static void read_file(mcp__stdio_t *stdio) {
  uv_buf_t buf = uv_buf_init(stdio->chunk, sizeof stdio->chunk);
  if (stdio->file_reading)
    return;
  stdio->file_read.data = stdio;
  stdio->file_reading = true; /* with a callback uv_fs_read() fails only if out of memory */
  uv_fs_read(stdio->loop, &stdio->file_read, stdio->in.fd, &buf, 1, -1, on_file_read);
}

static void read_stream(mcp__stdio_t *stdio) {
  int status = uv_read_start(&stdio->in.stream, on_alloc, on_read);
  if (status != 0) /* not open for reading */
    end_input(stdio, status);
}

static void start_reading(mcp__stdio_t *stdio) {
  if (!stdio->splitting)
    split_chunk(stdio); /* the owner may turn reading off again */
  if (!stdio->reading)
    return;
  if (stdio->in.is_file && !stdio->splitting)
    read_file(stdio);
  else if (!stdio->in.is_file)
    read_stream(stdio);
}

void mcp__stdio_read(mcp__stdio_t *stdio, bool on) {
  on = on && !stdio->at_eof && !stdio->closing;
  if (on == stdio->reading)
    return;
  stdio->reading = on;
  if (on)
    start_reading(stdio);
  else if (!stdio->in.is_file)
    uv_read_stop(&stdio->in.stream);
}

/* ---- output ---------------------------------------------------------------------------------------- */

static void after_write(mcp__stdio_t *stdio, int status) {
  stdio->is_writing = false;
  if (status != 0) {
    mcp__buf_clear(&stdio->writing, 0);
    mcp__buf_clear(&stdio->queued, 0);
    if (!stdio->closing)
      stdio->write_error = status;
  }
  mcp__stdio_flush(stdio);
  if (stdio->events->on_written != NULL && !stdio->closing)
    stdio->events->on_written(stdio->arg);
  check_closed(stdio);
}

static void on_stream_written(uv_write_t *request, int status) {
  mcp__stdio_t *stdio = request->handle->data;
  mcp__buf_clear(&stdio->writing, KEEP_BYTES);
  after_write(stdio, status);
}

static void on_file_written(uv_fs_t *request) {
  mcp__stdio_t *stdio = request->data;
  ssize_t len = request->result;
  uv_fs_req_cleanup(request);
  if (len >= 0)
    mcp__buf_consume(&stdio->writing, (size_t)len);
  if (stdio->writing.len == 0)
    mcp__buf_clear(&stdio->writing, KEEP_BYTES);
  after_write(stdio, len < 0 ? (int)len : 0);
}

static int write_stream(mcp__stdio_t *stdio, const uv_buf_t *buf) {
  return uv_write(&stdio->write, &stdio->out.stream, buf, 1, on_stream_written);
}

static int write_file(mcp__stdio_t *stdio, const uv_buf_t *buf) {
  stdio->file_write.data = stdio;
  return uv_fs_write(stdio->loop, &stdio->file_write, stdio->out.fd, buf, 1, -1, on_file_written);
}

void mcp__stdio_flush(mcp__stdio_t *stdio) {
  if (stdio->is_writing || stdio->closing)
    return;
  if (stdio->writing.len == 0)
    mcp__buf_swap(&stdio->queued, &stdio->writing);
  if (stdio->writing.len == 0)
    return;
  uv_buf_t buf = uv_buf_init(stdio->writing.data, (unsigned)stdio->writing.len);
  stdio->is_writing = true;
  int status = stdio->out.is_file ? write_file(stdio, &buf) : write_stream(stdio, &buf);
  if (status != 0)
    after_write(stdio, status);
}

int mcp__stdio_end_line(mcp__stdio_t *stdio, size_t at) {
  mcp__buf_t *out = &stdio->queued;
  if (stdio->write_error != 0 || stdio->closing) {
    out->len = at;
    return 0;
  }
  mcp__json_join_lines(out->data + at, out->len - at);
  return mcp__buf_puts(out, "\n");
}

int mcp__stdio_write_line(mcp__stdio_t *stdio, const char *text, size_t len) {
  size_t at = stdio->queued.len;
  int status = mcp__buf_append(&stdio->queued, text, len);
  if (status == 0)
    status = mcp__stdio_end_line(stdio, at);
  if (status != 0)
    stdio->queued.len = at; /* never half a line */
  return status;
}

size_t mcp__stdio_backlog(const mcp__stdio_t *stdio) {
  size_t writing = stdio->writing.len;
  if (stdio->is_writing && !stdio->out.is_file)
    writing = uv_stream_get_write_queue_size(&stdio->out.stream);
  return stdio->queued.len + writing;
}

size_t mcp__stdio_memory(const mcp__stdio_t *stdio) {
  return stdio->line.cap + stdio->queued.cap + stdio->writing.cap;
}

/* ---- open and close -------------------------------------------------------------------------------- */

static bool is_usable(int fd) {
  return uv_guess_handle(fd) != UV_UNKNOWN_HANDLE;
}

static int duplicate(int fd) {
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  return copy >= 0 ? copy : uv_translate_sys_error(errno);
}

/* fds[0] and fds[1] are the private copies. */
static int replace_standard(void) {
  int empty = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (empty < 0)
    return uv_translate_sys_error(errno);
  int error = is_usable(STDERR_FILENO) ? STDERR_FILENO : empty;
  bool replaced = dup2(empty, STDIN_FILENO) >= 0 && dup2(error, STDOUT_FILENO) >= 0;
  close(empty);
  return replaced ? 0 : UV_EBADF; /* UNTESTED: dup2() of open descriptors does not fail */
}

int mcp__stdio_take(int fds[2]) {
  static atomic_flag taken = ATOMIC_FLAG_INIT;
  if (!is_usable(STDIN_FILENO) || !is_usable(STDOUT_FILENO))
    return UV_EBADF;
  if (atomic_flag_test_and_set(&taken))
    return MCP_ESTATE;
  fds[0] = duplicate(STDIN_FILENO);
  fds[1] = duplicate(STDOUT_FILENO);
  int status = fds[0] < 0 ? fds[0] : fds[1] < 0 ? fds[1] : replace_standard();
  if (status == 0)
    return 0;
  for (int i = 0; i < 2; i++)
    if (fds[i] >= 0)
      close(fds[i]);
  atomic_flag_clear(&taken);
  return status;
}

static void on_handle_closed(uv_handle_t *handle) {
  mcp__stdio_t *stdio = handle->data;
  stdio->open_handles--;
  check_closed(stdio);
}

static int open_end(mcp__stdio_t *stdio, mcp__stdio_end_t *end) {
  uv_handle_type type = uv_guess_handle(end->fd);
  end->is_file = type == UV_FILE;
  end->has_private = true;
  if (type == UV_FILE)
    return 0;
  if (type == UV_UNKNOWN_HANDLE)
    return UV_EBADF;
  int status = type == UV_TTY ? uv_tty_init(stdio->loop, &end->tty, end->fd, 0)
                              : uv_pipe_init(stdio->loop, &end->pipe, 0);
  if (status != 0)
    return status;
  end->handle.data = stdio;
  stdio->open_handles++;
  if (type != UV_TTY)
    status = uv_pipe_open(&end->pipe, end->fd);
  uv_os_fd_t fd = -1;
  uv_fileno(&end->handle, &fd);
  end->has_private = fd != end->fd; /* a terminal is opened again */
  return status;
}

int mcp__stdio_open(mcp__stdio_t *stdio, uv_loop_t *loop, const int fds[2], size_t max_line,
                    const mcp__stdio_events_t *events, void *arg) {
  memset(stdio, 0, offsetof(mcp__stdio_t, chunk));
  stdio->loop = loop;
  stdio->events = events;
  stdio->arg = arg;
  stdio->max_line = max_line;
  stdio->in.fd = fds[0];
  stdio->out.fd = fds[1];
  mcp__buf_init(&stdio->line, max_line + 4 + MCP__JSON_PADDING, NULL); /* 4: a byte order mark and CR */
  mcp__buf_init(&stdio->queued, NO_LIMIT, NULL);
  mcp__buf_init(&stdio->writing, NO_LIMIT, NULL);
  int in = open_end(stdio, &stdio->in), out = open_end(stdio, &stdio->out);
  return in != 0 ? in : out;
}

static void close_end(mcp__stdio_end_t *end) {
  if (end->handle.data != NULL)
    uv_close(&end->handle, on_handle_closed);
}

void mcp__stdio_close(mcp__stdio_t *stdio) {
  mcp__stdio_read(stdio, false);
  stdio->closing = true;
  close_end(&stdio->in);
  close_end(&stdio->out);
  check_closed(stdio);
}
