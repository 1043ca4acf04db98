/* log.c: see log.h.
 *
 * Happy path: a record below all levels costs one comparison. Any other is built on the stack, truncated
 * there, and passed to the route (log_shipper.h) or written at once. Text for a terminal is made printable,
 * so that received text cannot forge a second line or control the terminal. Failure: without memory the
 * message is written without its data; if stderr is not read, the thread waits up to STDERR_TIMEOUT_MS and
 * the line is lost. */
#include "base/log.h"

#include "base/json.h"
#include "base/redact.h"
#include "base/settings.h"
#include "base/utf8.h"
#include "iccm_service.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
  LINE_MAX_BYTES = 1 << 20,
  FALLBACK_BYTES = 1024,
  STDERR_TIMEOUT_MS = 200, /* if stderr is not read; only while no server runs */
  LEVEL_UNSET = -1,
  LEVEL_NONE = MCP_LOG_ERROR + 1
};

static const char *const level_names[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR"};

static mcp_log_cb handler;
static void *handler_arg;
static atomic_int threshold = LEVEL_UNSET;
static _Thread_local const mcp__trace_t *current_trace;
static _Atomic(mcp__log_route_cb) route_cb;
static atomic_int route_min_level = LEVEL_NONE;

/* Compares ASCII letters without case, independently of the locale. */
static bool equals_level_name(const char *name, const char *text, size_t len) {
  for (size_t i = 0; i < len && name[i] != '\0'; i++)
    if ((text[i] & ~0x20) != name[i])
      return false;
  return strlen(name) == len;
}

static int find_level(const char *text, size_t len) {
  for (int level = MCP_LOG_TRACE; level <= MCP_LOG_ERROR; level++)
    if (equals_level_name(level_names[level], text, len))
      return level;
  return -1;
}

int mcp_log_level_parse(const char *name) {
  return name != NULL ? find_level(name, strlen(name)) : -1;
}

int mcp_log_level_from_json(yyjson_val *value) {
  return yyjson_is_str(value) ? find_level(yyjson_get_str(value), yyjson_get_len(value)) : -1;
}

const char *mcp_log_level_name(int level) {
  return level >= MCP_LOG_TRACE && level <= MCP_LOG_ERROR ? level_names[level] : NULL;
}

void mcp_set_log_handler(mcp_log_cb cb, int min_level, void *arg) {
  handler = cb;
  handler_arg = arg;
  atomic_store(&threshold, min_level);
}

int mcp__log_threshold(void) {
  int level = atomic_load_explicit(&threshold, memory_order_relaxed);
  if (level != LEVEL_UNSET)
    return level;
  level = mcp_log_level_parse(mcp__setting("LOG_LEVEL"));
  if (level < 0) /* unset or invalid; programs reject an invalid value at their start */
    level = MCP_LOG_INFO;
  atomic_store(&threshold, level);
  return level;
}

bool mcp__log_has_handler(void) {
  return handler != NULL;
}

/* ---- output ---------------------------------------------------------------------------------------- */

static size_t printable_ascii_len(const char *text, size_t len) {
  size_t plain = 0;
  while (plain < len && text[plain] >= 0x20 && text[plain] < 0x7f)
    plain++;
  return plain;
}

/* Text for a terminal; most text is plain ASCII. */
static int append_printable(mcp__buf_t *out, const char *text, size_t len) {
  char shown[MCP_PRINTABLE_SIZE];
  int status = 0;
  for (size_t used; len > 0 && status == 0; text += used, len -= used) {
    used = printable_ascii_len(text, len);
    if (used > 0) {
      status = mcp__buf_append(out, text, used);
    } else {
      used = mcp_printable_next(text, len, shown);
      status = mcp__buf_puts(out, shown);
    }
  }
  return status;
}

/* Data with its secrets redacted. JSON escapes most characters that a terminal must not receive. */
static int append_data(mcp__buf_t *out, const char *json, size_t len) {
  size_t begin = out->len;
  int status = mcp__redact_text(out, json, len);
  if (status != 0 || printable_ascii_len(out->data + begin, out->len - begin) == out->len - begin)
    return status;
  mcp__buf_t copy;
  mcp__buf_init(&copy, out->max, NULL);
  status = mcp__buf_append(&copy, out->data + begin, out->len - begin);
  out->len = begin;
  if (status == 0)
    status = append_printable(out, copy.data, copy.len);
  mcp__buf_deinit(&copy);
  return status;
}

static int append_message(mcp__buf_t *out, const mcp__log_record_t *record) {
  int status = append_printable(out, record->message, strlen(record->message));
  size_t whole = out->len;
  if (record->data != NULL &&
      (mcp__buf_puts(out, " ") != 0 || append_data(out, record->data, record->data_len) != 0))
    out->len = whole; /* omit the data completely: a part might contain a secret */
  if (record->trace_id != NULL) {
    mcp__buf_puts(out, " [");
    append_printable(out, record->trace_id, strlen(record->trace_id));
    mcp__buf_puts(out, "]");
  }
  return status;
}

int mcp__log_format_record(mcp__buf_t *out, const mcp__log_record_t *record) {
  char time[MCP_TIME_SIZE];
  mcp_time_format(record->time_us, time);
  int status = mcp__buf_printf(out, "%s %-5s ", time, level_names[record->level]);
  status = mcp__buf_first_error(status, append_printable(out, record->part, strlen(record->part)));
  status = mcp__buf_first_error(status, mcp__buf_puts(out, ": "));
  status = mcp__buf_first_error(status, append_message(out, record));
  return mcp__buf_first_error(status, mcp__buf_puts(out, "\n"));
}

/* A writable pipe accepts PIPE_BUF bytes without blocking. */
size_t mcp__log_write_stderr(const char *text, size_t len, int timeout_ms) {
  struct pollfd writable = {.fd = STDERR_FILENO, .events = POLLOUT};
  size_t done = 0;
  while (done < len) {
    if (poll(&writable, 1, timeout_ms) != 1)
      break;
    size_t piece = len - done < PIPE_BUF ? len - done : PIPE_BUF;
    ssize_t written = write(STDERR_FILENO, text + done, piece);
    if (written < 0 && (errno == EAGAIN || errno == EINTR))
      break;
    done = written > 0 ? done + (size_t)written : len;
  }
  return done;
}

static void write_line_to_stderr(const char *line, size_t len) {
  flockfile(stderr); /* one line at a time */
  mcp__log_write_stderr(line, len, STDERR_TIMEOUT_MS);
  funlockfile(stderr);
}

/* Formats without allocating: as much of the message as fits. */
static size_t format_without_memory(const char *message, char line[FALLBACK_BYTES]) {
  char shown[MCP_PRINTABLE_SIZE];
  size_t len = 0;
  line[0] = '\0';
  for (size_t left = strlen(message), used; left > 0 && len + sizeof shown < FALLBACK_BYTES;
       message += used, left -= used) {
    used = mcp_printable_next(message, left, shown);
    len += (size_t)snprintf(line + len, FALLBACK_BYTES - len, "%s", shown);
  }
  return len;
}

void mcp__log_show(const mcp__log_record_t *record) {
  char line[FALLBACK_BYTES + 1];
  mcp__buf_t out;
  mcp__buf_init(&out, LINE_MAX_BYTES, NULL);
  if (handler != NULL) {
    bool whole = append_message(&out, record) == 0 && mcp__buf_append(&out, "", 1) == 0;
    if (!whole)
      format_without_memory(record->message, line);
    handler(record->level, record->part, whole ? out.data : line, handler_arg);
  } else if (mcp__log_format_record(&out, record) == 0) {
    write_line_to_stderr(out.data, out.len);
  } else {
    size_t len = format_without_memory(record->message, line);
    line[len++] = '\n';
    write_line_to_stderr(line, len);
  }
  mcp__buf_deinit(&out);
}

/* ---- records --------------------------------------------------------------------------------------- */

void mcp__log_set_route(mcp__log_route_cb route, int min_level) {
  atomic_store(&route_cb, route);
  atomic_store(&route_min_level, route != NULL ? min_level : LEVEL_NONE);
}

bool mcp_log_enabled(int level) {
  return mcp_log_level_name(level) != NULL &&
         (level >= mcp__log_threshold() ||
          level >= atomic_load_explicit(&route_min_level, memory_order_relaxed));
}

/* Truncation may have cut a character. Other invalid bytes become '?'. */
static void make_valid_utf8(char *text) {
  size_t len = strlen(text);
  for (int cut = 0; cut < 4 && !mcp__utf8_valid(text, len) && len > 0; cut++)
    len--;
  if (mcp__utf8_valid(text, len)) {
    text[len] = '\0';
    return;
  }
  for (char *at = text; *at != '\0'; at++)
    if ((unsigned char)*at >= 0x80)
      *at = '?';
}

void mcp__log_format_message(char text[MCP__LOG_MESSAGE_BYTES], const char *format, va_list args) {
  vsnprintf(text, MCP__LOG_MESSAGE_BYTES, format, args);
  make_valid_utf8(text);
}

void mcp__log_copy_message(char text[MCP__LOG_MESSAGE_BYTES], const char *message, size_t len) {
  size_t copied = len < MCP__LOG_MESSAGE_BYTES ? len : MCP__LOG_MESSAGE_BYTES - 1;
  for (size_t i = 0; i < copied; i++)
    text[i] = message[i] != '\0' ? message[i] : '?';
  text[copied] = '\0';
  make_valid_utf8(text);
}

static void note_size(mcp__log_record_t *record, size_t len, char note[MCP__LOG_NOTE_BYTES]) {
  record->data = note;
  record->data_len = (size_t)snprintf(note, MCP__LOG_NOTE_BYTES, "{\"data_bytes\":%zu}", len);
}

void mcp__log_add_data(mcp__log_record_t *record, const char *json, size_t len,
                       char note[MCP__LOG_NOTE_BYTES]) {
  record->data = json;
  record->data_len = len;
  if (json != NULL && len > MCP__LOG_DATA_BYTES)
    note_size(record, len, note);
}

void mcp__log_add_text(mcp__log_record_t *record, const char *json, size_t len,
                       char note[MCP__LOG_NOTE_BYTES]) {
  mcp__json_error_t error;
  mcp__log_add_data(record, json, len, note);
  if (json == NULL || len > MCP__LOG_DATA_BYTES)
    return;
  yyjson_doc *doc = mcp__json_read(json, len, &mcp__json_alc, &error);
  if (doc == NULL)
    note_size(record, len, note);
  yyjson_doc_free(doc);
}

void mcp__log_set_trace(const mcp__trace_t *trace) {
  current_trace = trace;
}

void mcp__log_clear_trace(const mcp__trace_t *trace) {
  if (current_trace == trace)
    current_trace = NULL;
}

static void add_current_trace(mcp__log_record_t *record, char span[MCP__SPAN_SIZE]) {
  if (current_trace == NULL)
    return;
  mcp__span_write(current_trace->span, span);
  record->trace_id = current_trace->id;
  record->span_id = span;
  record->parent_span_id = current_trace->parent_span_id;
}

/* The record has everything except its time. */
static void emit(mcp__log_record_t *record) {
  mcp__log_route_cb route = atomic_load(&route_cb);
  if (record->part == NULL)
    record->part = "log";
  record->time_us = mcp_time_now_us();
  if (route != NULL)
    route(record);
  else if (record->level >= mcp__log_threshold())
    mcp__log_show(record);
}

static void emit_formatted(mcp__log_record_t *record, const char *format, va_list args) {
  char text[MCP__LOG_MESSAGE_BYTES], span[MCP__SPAN_SIZE];
  if (record->trace_id == NULL)
    add_current_trace(record, span);
  mcp__log_format_message(text, format, args);
  record->message = text;
  emit(record);
}

static const char *unless_empty(const char *text) {
  return *text != '\0' ? text : NULL;
}

void mcp_log_text(int level, const char *part, const mcp_span_t *span, const char *message,
                  size_t message_len, const char *data, size_t data_len) {
  if (!mcp_log_enabled(level))
    return;
  char text[MCP__LOG_MESSAGE_BYTES], current[MCP__SPAN_SIZE], note[MCP__LOG_NOTE_BYTES];
  mcp__log_record_t record = {.level = level, .part = part, .message = text};
  if (span == NULL) {
    add_current_trace(&record, current);
  } else {
    record.trace_id = unless_empty(span->trace_id);
    record.span_id = unless_empty(span->span_id);
    record.parent_span_id = unless_empty(span->parent_id);
  }
  mcp__log_copy_message(text, message, message_len);
  mcp__log_add_text(&record, data, data_len, note);
  emit(&record);
}

void mcp_log(int level, const char *part, const char *format, ...) {
  if (!mcp_log_enabled(level))
    return;
  mcp__log_record_t record = {.level = level, .part = part};
  va_list args;
  va_start(args, format);
  emit_formatted(&record, format, args);
  va_end(args);
}

void mcp_log_data(int level, const char *part, const char *trace_id, yyjson_mut_val *data, const char *format,
                  ...) {
  if (!mcp_log_enabled(level))
    return;
  mcp__log_record_t record = {.level = level, .part = part, .trace_id = trace_id};
  char note[MCP__LOG_NOTE_BYTES];
  size_t len = 0;
  char *json = data != NULL ? yyjson_mut_val_write_opts(data, 0, &mcp__json_alc, &len, NULL) : NULL;
  mcp__log_add_data(&record, json, len, note);
  va_list args;
  va_start(args, format);
  emit_formatted(&record, format, args);
  va_end(args);
  mcp__free(json);
}
