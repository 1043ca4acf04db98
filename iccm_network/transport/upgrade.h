/* upgrade.h: the HTTP head before a WebSocket (RFC 6455 section 4), for server and client; pure. */
#ifndef MCP_UPGRADE_H
#define MCP_UPGRADE_H

#include "base/buf.h"

#include <llhttp.h>

enum {
  MCP__HEAD_MAX_BYTES = 8192,
  MCP__HEAD_MAX_HEADERS = 64,
  MCP__HEAD_MAX_INTERIM = 8,     /* 1xx responses before the final one; their bytes count for the head */
  MCP__UPGRADE_KEY_SIZE = 25,    /* Sec-WebSocket-Key: base64 of 16 bytes, with the NUL */
  MCP__UPGRADE_ACCEPT_SIZE = 29, /* Sec-WebSocket-Accept: base64 of 20 bytes, with the NUL */
  MCP__HEAD_MAX_VALUE =
      /* Longest value of a stored header; longer ones get 431. A longer Authorization is ignored. */
  1024,
};

typedef enum mcp__head_state { MCP__HEAD_MORE, MCP__HEAD_DONE, MCP__HEAD_BAD } mcp__head_state_t;

/* Headers that are stored, of requests and responses. */
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
  MCP__H_CONTENT_TYPE,
  MCP__H_CONTENT_ENCODING,
  MCP__H_TRANSFER_ENCODING,
  MCP__H_HTTP_ACCEPT, /* Accept; the one above is Sec-WebSocket-Accept */
  MCP__H_EXPECT,
  MCP__H_MCP_VERSION, /* MCP-Protocol-Version */
  MCP__H_MCP_SESSION, /* Mcp-Session-Id */
  MCP__H_MCP_METHOD,
  MCP__H_MCP_NAME,
  MCP__H_LOCATION, /* of a redirect; a longer one is ignored */
  MCP__H_COUNT
} mcp__header_t;

/* A head being received. Stored values are in text, without surrounding blanks. */
typedef struct mcp__head {
  llhttp_t parser;
  llhttp_settings_t settings;
  mcp__buf_t text;       /* the current name and value, then stored values */
  size_t bytes, headers; /* received so far */
  unsigned interim;      /* of a response: number of skipped 1xx heads */
  size_t name_begin;     /* offset in text of the current header */
  size_t value_begin;
  size_t value[MCP__H_COUNT];         /* offset in text + 1; 0: absent */
  unsigned occurrences[MCP__H_COUNT]; /* how often each header was present */
  size_t url;                         /* offset in text + 1 */
  mcp__buf_t params;                  /* the headers Mcp-Param-...: name, NUL, value, NUL each */
  bool complete;                      /* the head is read: further header fields are trailers */
  mcp__buf_t *body;                   /* the body is appended to it, see http_body.h */
  size_t body_bytes;                  /* read after the head, chunk sizes and trailers included */
  int status;                         /* MCP__HEAD_BAD: the status of the response; response: its status */
  const char *problem;
} mcp__head_t;

int mcp__head_init(mcp__head_t *head, bool is_request); /* 0 or UV_ENOMEM; must not move afterwards */
void mcp__head_deinit(mcp__head_t *head);

/* Takes the next bytes. *used is the number of bytes that belong to the head; WebSocket frames follow them.
 * Interim responses (1xx except 101) are skipped. */
mcp__head_state_t mcp__head_feed(mcp__head_t *head, const char *data, size_t len, size_t *used);
const char *mcp__head_value(const mcp__head_t *head, mcp__header_t header); /* NULL: absent */
const char *mcp__head_url(const mcp__head_t *head);
/* Compares the path without the query. In an absolute target the path follows the authority (RFC 9112
 * section 3.2.2). */
bool mcp__head_path_is(const mcp__head_t *head, const char *path);
/* Returns "host:port" or "host", of an absolute target or else of Host. *len is 0 if neither names a host. */
const char *mcp__head_authority(const mcp__head_t *head, size_t *len);
bool mcp__head_is_bodiless(const mcp__head_t *head); /* HEAD: respond as to GET, without the body */

/* Whether a comma-separated list contains the token, ignoring case. */
bool mcp__head_has_token(const char *list, const char *token);

/* The kind of a complete request. MCP__HTTP_GET includes HEAD. */
typedef enum mcp__http_request_kind {
  MCP__HTTP_WEBSOCKET,
  MCP__HTTP_GET,
  MCP__HTTP_POST,
  MCP__HTTP_DELETE,
  MCP__HTTP_OPTIONS,
  MCP__HTTP_INVALID
} mcp__http_request_kind_t;

/* MCP__HTTP_INVALID: head->status and head->problem hold the response. */
mcp__http_request_kind_t mcp__head_request_kind(mcp__head_t *head);

void mcp__websocket_accept(const char *key, char accept[MCP__UPGRADE_ACCEPT_SIZE]);

/* Responses of a server. text is the body of a plain-text response, which has Connection: close. */
int mcp__write_switching(mcp__buf_t *out, const mcp__head_t *head);
/* The same with any content type. */

/* The client's side. */
int mcp__upgrade_new_key(char key[MCP__UPGRADE_KEY_SIZE]);
int mcp__write_upgrade(mcp__buf_t *out, const char *authority, const char *path, const char *key,
                       const char *token); /* NULL: no token */
/* Returns 0, or MCP_EREFUSED or MCP_EUPGRADE with a message in problem. */
int mcp__check_switching(const mcp__head_t *head, const char *key, char *problem, size_t size);

#endif
