/* listen_show.c: see listen_show.h. A header name may arrive in pieces: an incomplete line is kept until its
 * end arrives. */
#include "listen_show.h"

#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "base/redact.h"
#include "check_alloc.h"
#include "error_report.h"
#include "exit_codes.h"

enum { MAX_SHOWN = 64 * 1024 /* printed bytes of one message */ };

void listen_show_init(listen_show_t *show, const print_t *out, bool json, unsigned number) {
  *show = (listen_show_t){.out = out, .json = json, .number = number};
  mcp__buf_init(&show->line, MAX_SHOWN, NULL);
}

void listen_show_deinit(listen_show_t *show) {
  mcp__buf_deinit(&show->line);
}

static void show_json(const listen_show_t *show, const char *event, const char *text, size_t len) {
  yyjson_mut_doc *doc = check_alloc(yyjson_mut_doc_new(NULL));
  yyjson_mut_val *root = yyjson_mut_obj(doc);
  yyjson_mut_doc_set_root(doc, root);
  yyjson_mut_obj_add_uint(doc, root, "guest", show->number);
  yyjson_mut_obj_add_str(doc, root, "event", event);
  yyjson_mut_obj_add_val(doc, root, "text", print_safe(doc, text, len));
  yyjson_doc *written = check_alloc(yyjson_mut_doc_imut_copy(doc, NULL));
  print_json(show->out, yyjson_doc_get_root(written), false);
  yyjson_doc_free(written);
  yyjson_mut_doc_free(doc);
}

void listen_show(const listen_show_t *show, const char *event, const char *text, size_t len) {
  const print_t *out = show->out;
  size_t shown = len < MAX_SHOWN ? len : MAX_SHOWN;
  if (show->json) {
    show_json(show, event, text, shown);
  } else {
    fprintf(out->file, "#%u %s ", show->number, *event == 'r' ? ">" : *event == 's' ? "<" : "-");
    print_line(out, text, shown, 0);
    if (shown < len)
      fprintf(out->file, "… (%zu bytes in all)", len);
    fputc('\n', out->file);
  }
  if (fflush(out->file) != 0) /* the output is closed */
    _exit(report_output_error(ICCM_OK));
}

void listen_note(const listen_show_t *show, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  listen_show(show, "note", text, strlen(text));
}

static size_t span_until(const char *text, size_t len, const char *stops) {
  size_t at = 0;
  while (at < len && memchr(stops, text[at], strlen(stops)) == NULL)
    at++;
  return at;
}

static bool preceded_by(const char *line, size_t at, const char *mark) {
  size_t len = strlen(mark);
  return at >= len && strncasecmp(line + at - len, mark, len) == 0;
}

/* The number of secret bytes at this offset: a token in a subprotocol, a query, or user name and password in
 * a URL. */
static size_t secret_length(const char *line, size_t at, size_t len) {
  const char *from = line + at;
  if (preceded_by(line, at, "mcp.auth."))
    return span_until(from, len - at, " \t,");
  if (preceded_by(line, at, "?"))
    return span_until(from, len - at, " \t");
  if (!preceded_by(line, at, "://"))
    return 0;
  size_t word = span_until(from, len - at, " \t"), user = word;
  while (user > 0 && (user == word || from[user] != '@'))
    user--;
  return user;
}

static bool is_secret_header(const char *name, size_t len) {
  return mcp__redact_is_secret_name(name, len) || (len == 6 && strncasecmp(name, "cookie", len) == 0);
}

/* Shows one line of a head. Redacts the values of secret headers, including folded lines, and the secrets
 * found by secret_length(). */
static void show_line(listen_show_t *show, const char *event, const char *line, size_t len) {
  const char *colon = memchr(line, ':', len);
  bool folded = *line == ' ' || *line == '\t';
  size_t name_len = colon != NULL && !folded ? (size_t)(colon - line) : 0, from = 0;
  mcp__buf_t shown;
  mcp__buf_init(&shown, MAX_SHOWN, NULL);
  if (!folded)
    show->is_secret = is_secret_header(line, name_len);
  if (show->is_secret) {
    mcp__buf_printf(&shown, "%.*s%s " MCP__REDACTED, (int)name_len, line, folded ? "" : ":");
    len = 0;
  }
  for (size_t at = 0, hidden; at < len; at++) {
    if ((hidden = secret_length(line, at, len)) == 0)
      continue;
    mcp__buf_append(&shown, line + from, at - from);
    mcp__buf_puts(&shown, MCP__REDACTED);
    from = at += hidden;
  }
  if (from < len)
    mcp__buf_append(&shown, line + from, len - from);
  listen_show(show, event, shown.data, shown.len);
  mcp__buf_deinit(&shown);
}

void listen_show_lines(listen_show_t *show, const char *event, const char *text, size_t len, bool is_end) {
  mcp__buf_append(&show->line, text, len);
  const char *line = show->line.data;
  size_t left = show->line.len;
  while (left > 0) {
    const char *end = memchr(line, '\n', left);
    if (end == NULL && !is_end)
      break;
    size_t used = end != NULL ? (size_t)(end - line) + 1 : left, line_len = used;
    while (line_len > 0 && (line[line_len - 1] == '\n' || line[line_len - 1] == '\r'))
      line_len--;
    if (line_len > 0)
      show_line(show, event, line, line_len);
    line += used;
    left -= used;
  }
  mcp__buf_consume(&show->line, show->line.len - left);
}
