/* upgrade.c: parses HTTP heads with llhttp.
 *
 * Happy path: bytes are fed as they arrive, headers of interest are stored, and at the end of the head the
 * caller gets the kind of the request. llhttp checks the grammar and rejects ambiguous input. Counts and
 * sizes are limited here, because llhttp has no limits. Failure: MCP__HEAD_BAD with the status of the
 * response. */
#include "transport/upgrade.h"

#include "transport/http_response.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <uv.h>

#define NAME(text)                                                                                           \
  { text, sizeof text - 1 }
static const struct {
  const char *text;
  size_t len;
} names[MCP__H_COUNT] = {
    [MCP__H_UPGRADE] = NAME("Upgrade"),
    [MCP__H_CONNECTION] = NAME("Connection"),
    [MCP__H_KEY] = NAME("Sec-WebSocket-Key"),
    [MCP__H_VERSION] = NAME("Sec-WebSocket-Version"),
    [MCP__H_PROTOCOL] = NAME("Sec-WebSocket-Protocol"),
    [MCP__H_EXTENSIONS] = NAME("Sec-WebSocket-Extensions"),
    [MCP__H_ACCEPT] = NAME("Sec-WebSocket-Accept"),
    [MCP__H_HOST] = NAME("Host"),
    [MCP__H_ORIGIN] = NAME("Origin"),
    [MCP__H_AUTHORIZATION] = NAME("Authorization"),
    [MCP__H_TRACE_ID] = NAME("X-Trace-ID"),
    [MCP__H_CONTENT_TYPE] = NAME("Content-Type"),
    [MCP__H_CONTENT_ENCODING] = NAME("Content-Encoding"),
    [MCP__H_TRANSFER_ENCODING] = NAME("Transfer-Encoding"),
    [MCP__H_HTTP_ACCEPT] = NAME("Accept"),
    [MCP__H_EXPECT] = NAME("Expect"),
    [MCP__H_MCP_VERSION] = NAME("MCP-Protocol-Version"),
    [MCP__H_MCP_SESSION] = NAME("Mcp-Session-Id"),
    [MCP__H_MCP_METHOD] = NAME("Mcp-Method"),
    [MCP__H_MCP_NAME] = NAME("Mcp-Name"),
    [MCP__H_LOCATION] = NAME("Location"),
};
#undef NAME

static const char param_prefix[] = "Mcp-Param-"; /* MCP 2026-07-28, streamable HTTP */

static int set_error(mcp__head_t *head, int status, const char *problem) {
  head->status = status;
  head->problem = problem;
  return -1;
}

static int keep(mcp__head_t *head, const char *at, size_t len) {
  if (head->complete) /* a trailer: ignored, but counted as overhead of the body */
    return 0;
  return mcp__buf_append(&head->text, at, len) == 0 ? 0
                                                    : set_error(head, 431, "the request head is too large");
}

static int on_url(llhttp_t *parser, const char *at, size_t len) {
  mcp__head_t *head = parser->data;
  if (head->url == 0)
    head->url = head->text.len + 1;
  return keep(head, at, len);
}

static int on_url_complete(llhttp_t *parser) {
  return keep(parser->data, "", 1);
}

static int on_header_field(llhttp_t *parser, const char *at, size_t len) {
  return keep(parser->data, at, len);
}

static int on_field_complete(llhttp_t *parser) {
  mcp__head_t *head = parser->data;
  if (++head->headers > MCP__HEAD_MAX_HEADERS)
    return set_error(head, 431, "more than 64 headers");
  int status = keep(head, "", 1);
  head->value_begin = head->text.len;
  return status;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t len) {
  return keep(parser->data, at, len);
}

static mcp__header_t find_header(const char *name, size_t len) {
  int i = 0;
  while (i < MCP__H_COUNT && (names[i].len != len || strcasecmp(name, names[i].text) != 0))
    i++;
  return (mcp__header_t)i;
}

static bool is_list(mcp__header_t header) {
  return header == MCP__H_CONNECTION || header == MCP__H_UPGRADE || header == MCP__H_PROTOCOL ||
         header == MCP__H_EXTENSIONS || header == MCP__H_HTTP_ACCEPT || header == MCP__H_TRANSFER_ENCODING;
}

/* A header of a tool's parameter: kept with its name, since the tool says which there are. */
static int keep_param(mcp__head_t *head, size_t value_len) {
  const char *name = head->text.data + head->name_begin, *value = head->text.data + head->value_begin;
  int status = mcp__buf_append(&head->params, name, strlen(name) + 1);
  status = mcp__buf_first_error(status, mcp__buf_append(&head->params, value, value_len));
  status = mcp__buf_first_error(status, mcp__buf_append(&head->params, "", 1));
  head->text.len = head->name_begin;
  return status == 0 ? 0 : set_error(head, 431, "the request head is too large");
}

/* Truncates text to the stored values: discards a header of no interest, and joins repeated lines of a list
 * header (RFC 9110 section 5.3). */
static int on_value_complete(llhttp_t *parser) {
  mcp__head_t *head = parser->data;
  mcp__buf_t *text = &head->text;
  if (head->complete)
    return 0;
  size_t name_len = head->value_begin - head->name_begin - 1; /* without the NUL behind it */
  mcp__header_t header = find_header(text->data + head->name_begin, name_len);
  while (text->len > head->value_begin &&
         (text->data[text->len - 1] == ' ' || text->data[text->len - 1] == '\t'))
    text->len--;
  size_t len = text->len - head->value_begin;
  if (strncasecmp(text->data + head->name_begin, param_prefix, sizeof param_prefix - 1) == 0)
    return keep_param(head, len);
  if (keep(head, "", 1) != 0)
    return -1;
  bool may_be_ignored =
      header == MCP__H_AUTHORIZATION || header == MCP__H_LOCATION; /* where it is too long */
  if (header == MCP__H_COUNT || (may_be_ignored && len > MCP__HEAD_MAX_VALUE)) {
    text->len = head->name_begin;
    return 0;
  }
  if (len > MCP__HEAD_MAX_VALUE)
    return set_error(head, 431, "a header is too long");
  head->occurrences[header]++;
  if (head->value[header] != 0 && is_list(header)) {
    char joined[2 * MCP__HEAD_MAX_VALUE];
    int joined_len = snprintf(joined, sizeof joined, "%s, %s", mcp__head_value(head, header),
                              text->data + head->value_begin);
    if (joined_len > MCP__HEAD_MAX_VALUE)
      return set_error(head, 431, "a header is too long");
    text->len = head->name_begin;
    head->value[header] = text->len + 1;
    head->name_begin += (size_t)joined_len + 1;
    int status = keep(head, joined, (size_t)joined_len + 1);
    OPENSSL_cleanse(joined, sizeof joined);
    return status;
  }
  head->value[header] = head->value_begin + 1;
  head->name_begin = text->len;
  return 0;
}

static int on_headers_complete(llhttp_t *parser) {
  mcp__head_t *head = parser->data;
  head->complete = true;
  return HPE_PAUSED; /* stop behind the head */
}

static int on_body(llhttp_t *parser, const char *at, size_t len) {
  mcp__head_t *head = parser->data;
  int status = head->body != NULL ? mcp__buf_append(head->body, at, len) : 0;
  if (status == 0)
    return 0;
  return status == MCP_ETOOBIG ? set_error(head, 413, "the body is larger than the limit of a message")
                               : set_error(head, 503, "no memory for the body, retry later");
}

/* The size of a chunk is known before its bytes: one that is too large is refused at once. */
static int on_chunk_header(llhttp_t *parser) {
  mcp__head_t *head = parser->data;
  if (head->body == NULL || parser->content_length <= head->body->max - head->body->len)
    return 0;
  return set_error(head, 413, "the body is larger than the limit of a message");
}

static int on_message_complete(llhttp_t *parser) {
  (void)parser;
  return HPE_PAUSED; /* the next request is parsed after this one was answered */
}

static int on_message_begin_of_headers(llhttp_t *parser) {
  mcp__head_t *head = parser->data;
  head->name_begin = head->text.len;
  return 0;
}

static void begin_head(mcp__head_t *head, llhttp_type_t type) {
  llhttp_init(&head->parser, type, &head->settings);
  head->parser.data = head;
}

int mcp__head_init(mcp__head_t *head, bool is_request) {
  memset(head, 0, sizeof *head);
  mcp__buf_init(&head->text, MCP__HEAD_MAX_BYTES * 2, NULL);
  head->text.wipe = true; /* it may contain a token */
  mcp__buf_init(&head->params, MCP__HEAD_MAX_BYTES, NULL);
  llhttp_settings_init(&head->settings);
  head->settings.on_url = on_url;
  head->settings.on_url_complete = on_url_complete;
  head->settings.on_version_complete = on_message_begin_of_headers;
  head->settings.on_header_field = on_header_field;
  head->settings.on_header_field_complete = on_field_complete;
  head->settings.on_header_value = on_header_value;
  head->settings.on_header_value_complete = on_value_complete;
  head->settings.on_headers_complete = on_headers_complete;
  head->settings.on_chunk_header = on_chunk_header;
  head->settings.on_body = on_body;
  head->settings.on_message_complete = on_message_complete;
  begin_head(head, is_request ? HTTP_REQUEST : HTTP_RESPONSE);
  return mcp__buf_reserve(&head->text, 1);
}

void mcp__head_deinit(mcp__head_t *head) {
  mcp__buf_deinit(&head->text);
  mcp__buf_deinit(&head->params);
}

/* RFC 9110 section 15.2: 1xx responses come before the final one; up to MCP__HEAD_MAX_INTERIM are skipped.
 * 101 is final here. */
static bool is_interim(const mcp__head_t *head) {
  return head->parser.type == HTTP_RESPONSE && head->parser.status_code < 200 &&
         head->parser.status_code != 101 && head->interim < MCP__HEAD_MAX_INTERIM;
}

/* Discards the stored values; the bytes stay counted. */
static void discard_interim(mcp__head_t *head) {
  head->interim++;
  head->headers = 0;
  head->text.len = head->name_begin = head->value_begin = head->params.len = 0;
  head->complete = false;
  memset(head->value, 0, sizeof head->value);
  memset(head->occurrences, 0, sizeof head->occurrences);
  begin_head(head, HTTP_RESPONSE);
}

/* Feeds llhttp up to the end of one head, or all input. */
static llhttp_errno_t feed_one(mcp__head_t *head, const char *data, size_t len, size_t *used) {
  llhttp_errno_t error = llhttp_execute(&head->parser, data, len);
  *used = error == HPE_PAUSED ? (size_t)(llhttp_get_error_pos(&head->parser) - data) : len;
  head->bytes += *used;
  return error;
}

mcp__head_state_t mcp__head_feed(mcp__head_t *head, const char *data, size_t len, size_t *used) {
  size_t room = MCP__HEAD_MAX_BYTES - head->bytes, took;
  size_t take = len < room ? len : room;
  llhttp_errno_t error = feed_one(head, data, take, used);
  while (error == HPE_PAUSED && is_interim(head)) {
    discard_interim(head);
    error = feed_one(head, data + *used, take - *used, &took);
    *used += took;
  }
  if (error == HPE_PAUSED) {
    if (head->parser.type == HTTP_RESPONSE)
      head->status = head->parser.status_code;
    return MCP__HEAD_DONE;
  }
  if (error == HPE_OK && head->bytes < MCP__HEAD_MAX_BYTES)
    return MCP__HEAD_MORE;
  if (error == HPE_OK)
    set_error(head, 431, "the request head is larger than 8 KiB");
  else if (head->problem == NULL)
    set_error(head, 400, "invalid HTTP request");
  return MCP__HEAD_BAD;
}

const char *mcp__head_value(const mcp__head_t *head, mcp__header_t header) {
  return head->value[header] != 0 ? head->text.data + head->value[header] - 1 : NULL;
}

const char *mcp__head_url(const mcp__head_t *head) {
  return head->url != 0 ? head->text.data + head->url - 1 : "/";
}

/* Returns the text after the scheme of an absolute target; NULL: no scheme. */
static const char *after_scheme(const char *url) {
  if (*url == '/') /* nearly always, and strspn() is slow */
    return NULL;
  size_t len = strspn(url, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-.");
  return len > 0 && strncmp(url + len, "://", 3) == 0 ? url + len + 3 : NULL;
}

bool mcp__head_path_is(const mcp__head_t *head, const char *path) {
  const char *url = mcp__head_url(head), *authority = after_scheme(url);
  if (authority != NULL)
    url = authority + strcspn(authority, "/?#");
  size_t len = strcspn(url, "?#");
  if (len == 0)
    return strcmp(path, "/") == 0;
  return len == strlen(path) && memcmp(url, path, len) == 0;
}

const char *mcp__head_authority(const mcp__head_t *head, size_t *len) {
  const char *authority = after_scheme(mcp__head_url(head));
  if (authority == NULL)
    authority = mcp__head_value(head, MCP__H_HOST);
  *len = authority != NULL ? strcspn(authority, "/?#") : 0;
  return authority;
}

bool mcp__head_is_bodiless(const mcp__head_t *head) {
  return head->parser.method == HTTP_HEAD;
}

bool mcp__head_has_token(const char *list, const char *token) {
  size_t len = strlen(token);
  while (list != NULL && *list != '\0') {
    list += strspn(list, " \t,");
    size_t item = strcspn(list, ",");
    size_t end = item;
    while (end > 0 && (list[end - 1] == ' ' || list[end - 1] == '\t'))
      end--;
    if (end == len && strncasecmp(list, token, len) == 0)
      return true;
    list += item;
  }
  return false;
}

static mcp__http_request_kind_t invalid_request(mcp__head_t *head, int status, const char *problem) {
  set_error(head, status, problem);
  return MCP__HTTP_INVALID;
}

static bool is_key(const char *key) { /* 16 bytes in base64: 22 digits and two equal signs */
  return key != NULL && strlen(key) == 24 &&
         strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") == 22 &&
         strcmp(key + 22, "==") == 0;
}

static bool is_served(uint8_t method) {
  return method == HTTP_GET || method == HTTP_HEAD || method == HTTP_POST || method == HTTP_DELETE ||
         method == HTTP_OPTIONS;
}

static mcp__http_request_kind_t kind_of(uint8_t method) {
  return method == HTTP_OPTIONS  ? MCP__HTTP_OPTIONS
         : method == HTTP_POST   ? MCP__HTTP_POST
         : method == HTTP_DELETE ? MCP__HTTP_DELETE
                                 : MCP__HTTP_GET;
}

mcp__http_request_kind_t mcp__head_request_kind(mcp__head_t *head) { /* RFC 6455 section 4.2.1 */
  const llhttp_t *parser = &head->parser;
  bool websocket =
      parser->method == HTTP_GET && mcp__head_has_token(mcp__head_value(head, MCP__H_UPGRADE), "websocket");
  if (parser->http_major != 1 || parser->http_minor > 1)
    return invalid_request(head, 505, "unsupported HTTP version: use HTTP/1.1");
  if (!is_served(parser->method))
    return invalid_request(head, 405, "unsupported method: use " MCP__HTTP_METHODS);
  bool has_body = (parser->flags & F_TRANSFER_ENCODING) != 0 || parser->content_length != 0;
  if (has_body && parser->method != HTTP_POST)
    return invalid_request(head, 400, "a request body is supported with POST alone");
  if (parser->http_minor == 1 && head->occurrences[MCP__H_HOST] != 1)
    return invalid_request(head, 400, "exactly one Host header is required");
  if (!websocket)
    return kind_of(parser->method);
  if (parser->http_minor == 0)
    return invalid_request(head, 400, "a WebSocket requires HTTP/1.1");
  if (!mcp__head_has_token(mcp__head_value(head, MCP__H_CONNECTION), "upgrade"))
    return invalid_request(head, 400, "Connection: Upgrade is missing");
  if (head->occurrences[MCP__H_VERSION] != 1 || strcmp(mcp__head_value(head, MCP__H_VERSION), "13") != 0)
    return invalid_request(head, 426, "Sec-WebSocket-Version must be 13");
  if (head->occurrences[MCP__H_KEY] != 1 || !is_key(mcp__head_value(head, MCP__H_KEY)))
    return invalid_request(head, 400, "Sec-WebSocket-Key must be 16 bytes in base64");
  return MCP__HTTP_WEBSOCKET;
}

void mcp__websocket_accept(const char *key,
                           char accept[MCP__UPGRADE_ACCEPT_SIZE]) { /* RFC 6455 section 4.2.2, 5.4 */
  char text[MCP__UPGRADE_KEY_SIZE + 36];
  unsigned char digest[20];
  int len = snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
  EVP_Digest(text, (size_t)len, digest, NULL, EVP_sha1(), NULL);
  EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
}

int mcp__write_switching(mcp__buf_t *out, const mcp__head_t *head) {
  char accept[MCP__UPGRADE_ACCEPT_SIZE];
  mcp__websocket_accept(mcp__head_value(head, MCP__H_KEY), accept);
  bool mcp = mcp__head_has_token(mcp__head_value(head, MCP__H_PROTOCOL), "mcp");
  return mcp__buf_printf(out,
                         "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         "Sec-WebSocket-Accept: %s\r\n%s\r\n",
                         accept, mcp ? "Sec-WebSocket-Protocol: mcp\r\n" : "");
}

int mcp__upgrade_new_key(char key[MCP__UPGRADE_KEY_SIZE]) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1)
    return UV_EIO;
  EVP_EncodeBlock((unsigned char *)key, bytes, sizeof bytes);
  return 0;
}

int mcp__write_upgrade(mcp__buf_t *out, const char *authority, const char *path, const char *key,
                       const char *token) {
  int status =
      mcp__buf_printf(out,
                      "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mcp\r\n",
                      path, authority, key);
  if (token != NULL) { /* printf() would leave it on the stack */
    status = mcp__buf_first_error(status, mcp__buf_puts(out, "Authorization: Bearer "));
    status = mcp__buf_first_error(status, mcp__buf_puts(out, token));
    status = mcp__buf_first_error(status, mcp__buf_puts(out, "\r\n"));
  }
  return mcp__buf_first_error(status, mcp__buf_puts(out, "\r\n"));
}

/* Whether a list has an element; an empty list is valid (RFC 9110 section 5.6.1). */
static bool is_non_empty_list(const char *list) {
  return list != NULL && list[strspn(list, " \t,")] != '\0';
}

/* RFC 6455 section 4.1. */
int mcp__check_switching(const mcp__head_t *head, const char *key, char *problem, size_t size) {
  char accept[MCP__UPGRADE_ACCEPT_SIZE];
  mcp__websocket_accept(key, accept);
  const char *got = mcp__head_value(head, MCP__H_ACCEPT);
  const char *protocol = mcp__head_value(head, MCP__H_PROTOCOL);
  const char *violation = NULL;
  if (head->status == 401 || head->status == 403) {
    snprintf(problem, size, "the peer answered %d %s%s", head->status, mcp__http_reason(head->status),
             head->status == 401 ? ": set its token with ICCM_AUTH_TOKEN or mcp_client_set_auth_token()"
                                 : "");
    return MCP_EREFUSED;
  }
  if (head->status != 101) {
    snprintf(problem, size, "the peer answered HTTP %d instead of switching to WebSocket", head->status);
    return MCP_EUPGRADE;
  }
  if (!mcp__head_has_token(mcp__head_value(head, MCP__H_UPGRADE), "websocket") ||
      !mcp__head_has_token(mcp__head_value(head, MCP__H_CONNECTION), "upgrade"))
    violation = "without Upgrade: websocket and Connection: Upgrade";
  else if (head->occurrences[MCP__H_ACCEPT] != 1 || strcmp(got, accept) != 0) /* item 4 */
    violation = "with a wrong Sec-WebSocket-Accept";
  else if (is_non_empty_list(mcp__head_value(head, MCP__H_EXTENSIONS)))
    violation = "with an extension that was not offered";
  else if (is_non_empty_list(protocol) && strcmp(protocol, "mcp") != 0)
    violation = "with a subprotocol that was not offered";
  if (violation == NULL)
    return 0;
  snprintf(problem, size, "the peer answered 101 %s", violation);
  return MCP_EUPGRADE;
}
