/* raw_program.c: see raw_program.h.
 *
 * Happy path: each call writes a line and runs the loop until the response is read. Failure: the end of the
 * program ends all waits; text that is no message is counted, and its beginning kept. Of standard error the
 * last bytes are kept. No output of any length takes more memory than one line of MAX_LINE.
 */
#include "raw_program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/json.h"
#include "check_alloc.h"

enum { MAX_LINE = 64 << 20, MAX_REQUEST = 4 << 20, ERRORS_MS = 500 };

/* ---- standard error -------------------------------------------------------------------------------- */

static void on_errors_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf) {
  raw_program_t *program = handle->data;
  (void)size;
  *buf = uv_buf_init(program->net->buffer, sizeof program->net->buffer);
}

static void on_errors_closed(uv_handle_t *handle) {
  raw_program_t *program = handle->data;
  program->open_parts--;
}

static void keep_tail(raw_program_t *program, const char *data, size_t len) {
  size_t max = sizeof program->tail;
  size_t taken = len < max ? len : max;
  size_t kept = program->tail_len + taken > max ? max - taken : program->tail_len;
  memmove(program->tail, program->tail + program->tail_len - kept, kept);
  memcpy(program->tail + kept, data + len - taken, taken);
  program->tail_len = kept + taken;
}

static void on_errors(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
  raw_program_t *program = stream->data;
  if (len > 0) {
    keep_tail(program, buf->base, (size_t)len);
  } else if (len < 0) {
    program->errors_ended = true;
    uv_read_stop(stream);
  }
}

/* ---- standard output ------------------------------------------------------------------------------- */

static void count_text(raw_program_t *program, const char *text, size_t len) {
  if (program->text_count++ == 0)
    mcp__excerpt(program->text, text, len);
}

static bool is_response(const raw_program_t *program, yyjson_val *root) {
  yyjson_val *id = yyjson_obj_get(root, "id");
  if (yyjson_obj_get(root, "result") == NULL && yyjson_obj_get(root, "error") == NULL)
    return false;
  return program->response_without_id ? id == NULL || yyjson_is_null(id)
                                      : yyjson_is_int(id) && yyjson_get_sint(id) == program->last_id;
}

static void on_line(mcp__buf_t *line, void *arg) {
  raw_program_t *program = arg;
  mcp__json_error_t error;
  yyjson_doc *doc = mcp__json_read(line->data, line->len, &mcp__json_alc, &error);
  yyjson_val *root = yyjson_doc_get_root(doc);
  if (!yyjson_is_obj(root))
    count_text(program, line->data, line->len);
  if (program->response == NULL && is_response(program, root))
    program->response = doc;
  else
    yyjson_doc_free(doc);
}

static void on_discarded(int status, void *arg) {
  static const char text[] = "(a line that is too long)";
  (void)status;
  count_text(arg, text, sizeof text - 1);
}

static void on_written(void *arg) {
  (void)arg;
}

static void on_ended(int status, const char *problem, void *arg) {
  raw_program_t *program = arg;
  (void)status;
  program->ended = true;
  snprintf(program->problem, sizeof program->problem, "%s", problem);
}

static void on_freed(void *arg) {
  raw_program_t *program = arg;
  program->open_parts--;
}

static const mcp__program_events_t events = {on_line, on_discarded, on_written, on_ended, on_freed};

/* ---- its life -------------------------------------------------------------------------------------- */

raw_program_t *raw_program_start(net_t *net, char **argv) {
  static char transport[] = "ICCM_TRANSPORT=stdio"; /* as the library's client does */
  raw_program_t *program = check_alloc(calloc(1, sizeof *program));
  int errors[2];
  program->net = net;
  program->start_status = uv_pipe(errors, UV_NONBLOCK_PIPE, 0);
  if (program->start_status != 0) /* UNTESTED: needs a process without descriptors */
    return program;
  uv_pipe_init(&net->loop, &program->errors, 0);
  program->errors.data = program;
  program->open_parts = 1;
  uv_pipe_open(&program->errors, errors[0]);
  uv_read_start((uv_stream_t *)&program->errors, on_errors_alloc, on_errors);
  program->program = mcp__program_start(&net->loop, argv, transport, errors[1], MAX_LINE, &events, program);
  close(errors[1]);
  program->open_parts += program->program != NULL;
  program->start_status = program->program != NULL ? program->program->start_status : UV_ENOMEM;
  if (program->start_status != 0)
    on_ended(MCP_ECONNECT, uv_strerror(program->start_status), program);
  return program;
}

void raw_program_free(raw_program_t *program) {
  if (program == NULL)
    return;
  if (program->program != NULL)
    mcp__program_stop(program->program, true);
  if (program->open_parts > 0)
    uv_close((uv_handle_t *)&program->errors, on_errors_closed);
  while (program->open_parts > 0)
    uv_run(&program->net->loop, UV_RUN_ONCE);
  yyjson_doc_free(program->response);
  free(program);
}

/* ---- messages -------------------------------------------------------------------------------------- */

static bool is_answered(void *arg) {
  const raw_program_t *program = arg;
  return program->response != NULL || program->ended;
}

static bool wait_response(raw_program_t *program, uint64_t limit_ms) {
  net_wait(program->net, is_answered, program, limit_ms);
  return program->response != NULL;
}

static void forget_response(raw_program_t *program) {
  yyjson_doc_free(program->response);
  program->response = NULL;
}

void raw_program_send_line(raw_program_t *program, const char *line) {
  mcp__stdio_t *stdio = &program->program->stdio;
  check_alloc(mcp__stdio_write_line(stdio, line, strlen(line)) == 0 ? stdio : NULL);
  mcp__stdio_flush(stdio);
}

bool raw_program_request(raw_program_t *program, mcp__era_t era, const char *method, const char *params,
                         uint64_t limit_ms) {
  mcp__outgoing_t message;
  mcp__buf_t text;
  forget_response(program);
  program->response_without_id = false;
  mcp__buf_init(&text, MAX_REQUEST, NULL);
  int status = mcp__buf_printf(&text, "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"method\":\"%s\",\"params\":%s}",
                               (long long)++program->last_id, method, params);
  if (status == 0)
    status = mcp__outgoing_read(&message, text.data, text.len, era, MAX_REQUEST);
  mcp__buf_deinit(&text);
  check_alloc(status == 0 ? program : NULL);
  status = mcp__stdio_write_line(&program->program->stdio, message.body.data, message.body.len);
  mcp__outgoing_deinit(&message);
  check_alloc(status == 0 ? program : NULL);
  mcp__stdio_flush(&program->program->stdio);
  return wait_response(program, limit_ms);
}

bool raw_program_send_bad_line(raw_program_t *program, const char *line, uint64_t limit_ms) {
  forget_response(program);
  program->response_without_id = true;
  raw_program_send_line(program, line);
  return wait_response(program, limit_ms);
}

/* ---- the end --------------------------------------------------------------------------------------- */

static bool has_exited(void *arg) {
  const raw_program_t *program = arg;
  return !program->program->running;
}

bool raw_program_end_input(raw_program_t *program, uint64_t limit_ms) {
  mcp__stdio_finish(&program->program->stdio);
  return net_wait(program->net, has_exited, program, limit_ms);
}

static bool errors_are_read(void *arg) {
  const raw_program_t *program = arg;
  return program->errors_ended;
}

/* The last line of standard error that is not empty. */
static size_t last_line(const raw_program_t *program, const char **line) {
  size_t end = program->tail_len;
  while (end > 0 && strchr(" \t\r\n", program->tail[end - 1]) != NULL)
    end--;
  size_t begin = end;
  while (begin > 0 && program->tail[begin - 1] != '\n')
    begin--;
  *line = program->tail + begin;
  return end - begin;
}

void raw_program_describe_end(raw_program_t *program, char text[RAW_PROGRAM_END_SIZE]) {
  char excerpt[MCP__EXCERPT_SIZE];
  const char *line;
  net_wait(program->net, errors_are_read, program, ERRORS_MS);
  size_t len = last_line(program, &line);
  mcp__excerpt(excerpt, line, len);
  snprintf(text, RAW_PROGRAM_END_SIZE, "%s%s%s%s", program->problem,
           len > 0 ? "; its standard error ends with \"" : ", and its standard error is empty",
           len > 0 ? excerpt : "", len > 0 ? "\"" : "");
}
