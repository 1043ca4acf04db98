/* http_response.c: responses are written in place: a length that is not known yet gets blanks to stand in. */
#include "transport/http_response.h"

#include <stdio.h>
#include <string.h>

enum { LENGTH_DIGITS = 20, CHUNK_DIGITS = 8 };

static const char no_length[LENGTH_DIGITS + 1] = "                    ";

const char *mcp__http_reason(int status) {
  static const struct {
    int status;
    const char *phrase;
  } phrases[] = {{200, "OK"},
                 {202, "Accepted"},
                 {204, "No Content"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {406, "Not Acceptable"},
                 {408, "Request Timeout"},
                 {413, "Content Too Large"},
                 {415, "Unsupported Media Type"},
                 {426, "Upgrade Required"},
                 {429, "Too Many Requests"},
                 {431, "Request Header Fields Too Large"},
                 {500, "Internal Server Error"},
                 {501, "Not Implemented"},
                 {503, "Service Unavailable"},
                 {505, "HTTP Version Not Supported"}};
  for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
    if (phrases[i].status == status)
      return phrases[i].phrase;
  return "Unexpected";
}

static int write_header(mcp__buf_t *out, const char *name, const char *value) {
  int status = mcp__buf_puts(out, name);
  status = mcp__buf_first_error(status, mcp__buf_puts(out, value));
  return mcp__buf_first_error(status, mcp__buf_puts(out, "\r\n"));
}

static int write_status_line(mcp__buf_t *out, int code) {
  const char digits[] = {(char)('0' + code / 100 % 10), (char)('0' + code / 10 % 10), (char)('0' + code % 10),
                         ' ', '\0'};
  int status = mcp__buf_puts(out, "HTTP/1.1 ");
  return mcp__buf_first_error(status, write_header(out, digits, mcp__http_reason(code)));
}

static int write_framing(mcp__buf_t *out, const mcp__response_head_t *head) {
  if (head->type == NULL)
    return mcp__buf_puts(out, head->status == 204 ? "" : "Content-Length: 0\r\n");
  int status = write_header(out, "Content-Type: ", head->type);
  if (head->framing == MCP__CHUNKED)
    status = mcp__buf_first_error(status, mcp__buf_puts(out, "Transfer-Encoding: chunked\r\n"));
  else if (head->framing == MCP__LENGTH)
    status = mcp__buf_first_error(status, mcp__buf_printf(out, "Content-Length: %zu\r\n", head->len));
  return status;
}

static int write_status_headers(mcp__buf_t *out, const mcp__response_head_t *head) {
  switch (head->status) {
  case 401:
    return mcp__buf_puts(out, "WWW-Authenticate: Bearer realm=\"mcp\"\r\n");
  case 204:
  case 405:
    return write_header(out, "Allow: ", head->allow != NULL ? head->allow : MCP__HTTP_METHODS);
  case 426:
    return mcp__buf_puts(out, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
  case 429:
  case 503:
    return mcp__buf_puts(out, "Retry-After: 1\r\n");
  default:
    return 0;
  }
}

/* What a page of another origin may send and read (Fetch, CORS protocol). */
static int write_cors(mcp__buf_t *out, const mcp__response_head_t *head) {
  if (head->origin == NULL)
    return 0;
  int status =
      mcp__buf_printf(out,
                      "Access-Control-Allow-Origin: %s\r\nVary: Origin\r\n"
                      "Access-Control-Expose-Headers: Mcp-Session-Id, Retry-After, WWW-Authenticate\r\n",
                      head->origin);
  if (head->status != 204)
    return status;
  return mcp__buf_first_error(
      status, mcp__buf_puts(
                  out, "Access-Control-Allow-Methods: GET, POST, DELETE\r\n"
                       "Access-Control-Allow-Headers: *, Authorization\r\nAccess-Control-Max-Age: 600\r\n"));
}

int mcp__http_write_head(mcp__buf_t *out, const mcp__response_head_t *head) {
  int status = write_status_line(out, head->status);
  status = mcp__buf_first_error(status, write_framing(out, head));
  status = mcp__buf_first_error(status, write_status_headers(out, head));
  status = mcp__buf_first_error(status, write_cors(out, head));
  if (head->session_id != NULL)
    status = mcp__buf_first_error(status, write_header(out, "Mcp-Session-Id: ", head->session_id));
  if (head->uncached)
    status = mcp__buf_first_error(status,
                                  mcp__buf_puts(out, "Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n"));
  if (!head->keep_alive)
    status = mcp__buf_first_error(status, mcp__buf_puts(out, "Connection: close\r\n"));
  if (head->framing == MCP__LENGTH_LATER && head->type != NULL) /* the last one, so that its place is known */
    status = mcp__buf_first_error(status, write_header(out, "Content-Length: ", no_length));
  return mcp__buf_first_error(status, mcp__buf_puts(out, "\r\n"));
}

void mcp__http_set_length(mcp__buf_t *out, size_t body) {
  char digits[LENGTH_DIGITS + 1];
  snprintf(digits, sizeof digits, "%*zu", LENGTH_DIGITS, out->len - body);
  memcpy(out->data + body - 4 - LENGTH_DIGITS, digits, LENGTH_DIGITS); /* in front of two line ends */
}

int mcp__http_begin_chunk(mcp__buf_t *out, size_t *at) {
  *at = out->len;
  return mcp__buf_printf(out, "%*s\r\n", CHUNK_DIGITS, "");
}

int mcp__http_end_chunk(mcp__buf_t *out, size_t at) {
  char digits[CHUNK_DIGITS + 1];
  snprintf(digits, sizeof digits, "%0*zx", CHUNK_DIGITS, out->len - at - CHUNK_DIGITS - 2);
  memcpy(out->data + at, digits, CHUNK_DIGITS);
  return mcp__buf_puts(out, "\r\n");
}

int mcp__http_last_chunk(mcp__buf_t *out) {
  return mcp__buf_puts(out, "0\r\n\r\n");
}

int mcp__write_body(mcp__buf_t *out, int status, const char *type, const char *body, size_t len) {
  size_t begin = out->len;
  mcp__response_head_t head = {.status = status, .type = type, .len = len};
  int written = mcp__http_write_head(out, &head);
  written = mcp__buf_first_error(written, mcp__buf_append(out, body, len));
  if (written != 0)
    out->len = begin;
  return written;
}

int mcp__write_plain(mcp__buf_t *out, int status, const char *text) {
  return mcp__write_body(out, status, MCP__HTTP_PLAIN_TEXT, text, strlen(text));
}
