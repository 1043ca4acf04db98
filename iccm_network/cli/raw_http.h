/* raw_http.h: one HTTP request on a raw_conn, and its response, as far as it has come: a JSON document or a
 * stream of events. */
#ifndef ICCM_CLI_RAW_HTTP_H
#define ICCM_CLI_RAW_HTTP_H

#include "client/sse.h"
#include "raw_conn.h"

typedef struct raw_http {
  raw_conn_t *conn;    /* the net's; NULL: unused */
  mcp__buf_t received; /* all bytes of the response */
  size_t used;         /* of received: parsed */
  mcp__head_t head;
  mcp__head_state_t head_state;
  mcp__buf_t body;
  mcp__sse_t sse;
  bool has_body;       /* it follows the head … */
  bool until_close;    /* … and ends with the connection */
  bool is_events;      /* it is a stream of events */
  bool has_part;       /* bytes of the body have come */
  bool complete;       /* the response is, or the one of a stream has come */
  unsigned events;     /* received, the response included */
  yyjson_doc *message; /* the JSON of the body, or the response in the stream; NULL: none yet */
} raw_http_t;

/* Begins an exchange on a connection that is open, or has ended. It must not move afterwards. */
void raw_http_init(raw_http_t *http, raw_conn_t *conn);
void raw_http_deinit(raw_http_t *http); /* ends the connection; a zeroed one is fine */
void raw_http_send(raw_http_t *http, const mcp__buf_t *request);

/* For net_wait(): the response is complete or cannot be completed any more; a part of the body has come. */
bool raw_http_done(void *arg);
bool raw_http_has_part(void *arg);

/* The status of the response; 0: its head has not come, or is not HTTP. */
int raw_http_status(const raw_http_t *http);
/* The root of a response of JSON-RPC; NULL: there is none. */
yyjson_val *raw_http_response(const raw_http_t *http);

#endif
