/* http_answer.h: judges a response over HTTP: whether it is a message for the client, and what it lacks;
 * pure.
 */
#ifndef MCP_HTTP_ANSWER_H
#define MCP_HTTP_ANSWER_H

#include "base/json.h"
#include "client/http_conn.h"

/* NULL: it is no JSON. */
yyjson_doc *mcp__http_answer_parse(const mcp__buf_t *text);
/* Whether the status alone decides, whatever the body. */
bool mcp__http_is_decisive(int status);
/* Whether the body is a response of JSON-RPC. */
bool mcp__http_answer_is_message(const mcp__http_answer_t *answer);
/* Whether a message of a stream of events is the response. */
bool mcp__http_event_is_response(const mcp__buf_t *text);
/* Whether a call was refused since headers are missing. */
bool mcp__http_answer_lacks_headers(const mcp__http_answer_t *answer);

#endif
