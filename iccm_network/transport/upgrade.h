/* upgrade.h: the HTTP head in front of a WebSocket (RFC 6455 section 4), both sides; pure. */
#ifndef MCP_UPGRADE_H
#define MCP_UPGRADE_H

#include "base/buf.h"

#include <llhttp.h>

enum {
  MCP__HEAD_MAX_BYTES = 8192,
  MCP__HEAD_MAX_HEADERS = 64,
  MCP__HEAD_MAX_INTERIM = 8,  /* answers 1xx before the final one, which are within the bytes of the head */
  MCP__UPGRADE_KEY_SIZE = 25, /* Sec-WebSocket-Key: base64 of 16 bytes, with the NUL */
  MCP__UPGRADE_ACCEPT_SIZE = 29, /* Sec-WebSocket-Accept: base64 of 20 bytes, with the NUL */
  MCP__HEAD_MAX_VALUE =
      1024, /* one header of interest; a longer one is refused with 431, but Authorization is not kept */
};

typedef enum mcp__head_state { MCP__HEAD_MORE, MCP__HEAD_DONE, MCP__HEAD_BAD } mcp__head_state_t;

/* Headers of interest, of a request or an answer. */
typedef enum mcp__header {
  MCP__H_UPGRADE,
  MCP__H_CONNECTION,
  MCP__H_KEY,
  MCP__H_VERSION,
  MCP__H_PROTOCOL,
  MCP__H_EXTENSIONS,
  MCP__H_ACCEPT,
  MCP__H_HOST,
  MCP__H_ORIGIN,
  MCP__H_AUTHORIZATION,
  MCP__H_TRACE_ID,
  MCP__H_COUNT
} mcp__header_t;

/* A head while it comes in. Values are kept in one text, blanks around them removed. */
typedef struct mcp__head {
  llhttp_t parser;
  llhttp_settings_t settings;
  mcp__buf_t text;       /* name and value under way, then values that are kept */
  size_t bytes, headers; /* so far */
  unsigned interim;      /* of an answer: those that were passed over */
  size_t name_begin;     /* of the header under way, in text */
  size_t value_begin;
  size_t value[MCP__H_COUNT];         /* offset in text + 1; 0: not given */
  unsigned occurrences[MCP__H_COUNT]; /* how often */
  size_t url;                         /* offset in text + 1 */
  int status;                         /* MCP__HEAD_BAD: 400 or 431; an answer: its status */
  const char *problem;
} mcp__head_t;

int mcp__head_init(mcp__head_t *head, bool is_request); /* 0 or UV_ENOMEM; must not move afterwards */
void mcp__head_deinit(mcp__head_t *head);

/* Takes the next bytes; *used says how many belong to the head: what follows it is WebSocket already. Of an
 * answer interim ones (1xx but 101) are passed over. */
mcp__head_state_t mcp__head_feed(mcp__head_t *head, const char *data, size_t len, size_t *used);
const char *mcp__head_value(const mcp__head_t *head, mcp__header_t header); /* NULL: not given */
const char *mcp__head_url(const mcp__head_t *head);
/* Of an absolute target the path begins behind its authority, and that stands in for Host (RFC 9112
 * section 3.2.2). A query does not belong to a path. */
bool mcp__head_path_is(const mcp__head_t *head, const char *path);
/* "host:port", or "host" alone; *len 0 where neither target nor Host names one. */
const char *mcp__head_authority(const mcp__head_t *head, size_t *len);
bool mcp__head_is_bodiless(const mcp__head_t *head); /* HEAD: the answer is that to GET without its body */

/* Whether the text holds the token in its comma-separated list, upper and lower case alike. */
bool mcp__head_has_token(const char *list, const char *token);

/* What a complete request asks for. MCP__HTTP_GET is a page, also by HEAD. */
typedef enum mcp__http_request_kind {
  MCP__HTTP_WEBSOCKET,
  MCP__HTTP_GET,
  MCP__HTTP_OPTIONS,
  MCP__HTTP_INVALID
} mcp__http_request_kind_t;

/* MCP__HTTP_INVALID: head->status and head->problem say what to answer. */
mcp__http_request_kind_t mcp__head_request_kind(mcp__head_t *head);

void mcp__websocket_accept(const char *key, char accept[MCP__UPGRADE_ACCEPT_SIZE]);

#define MCP__HTTP_PLAIN_TEXT "text/plain; charset=utf-8"

/* The server's answers. text is the body of a plain one, which says Connection: close. */
int mcp__write_switching(mcp__buf_t *out, const mcp__head_t *head);
int mcp__write_plain(mcp__buf_t *out, int status, const char *text);
/* Of any type. */
int mcp__write_body(mcp__buf_t *out, int status, const char *type, const char *body, size_t len);
int mcp__write_options(mcp__buf_t *out);

/* The client's side. */
int mcp__upgrade_new_key(char key[MCP__UPGRADE_KEY_SIZE]);
int mcp__write_upgrade(mcp__buf_t *out, const char *authority, const char *path, const char *key,
                       const char *token); /* NULL: none */
/* 0, MCP_EREFUSED or MCP_EUPGRADE with the problem in words. */
int mcp__check_switching(const mcp__head_t *head, const char *key, char *problem, size_t size);

#endif
