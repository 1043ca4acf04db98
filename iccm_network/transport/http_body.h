/* http_body.h: the body behind an HTTP head (RFC 9112 sections 6 and 7), of known length or in chunks; pure.
 */
#ifndef MCP_HTTP_BODY_H
#define MCP_HTTP_BODY_H

#include "transport/upgrade.h"

enum {
  MCP__BODY_OVERHEAD = 16 << 10, /* bytes of chunk sizes, extensions and trailers, and … */
  MCP__BODY_OVERHEAD_TIMES = 8   /* … so many times the bytes of the body */
};

/* Whether a complete head has a body behind it. */
bool mcp__http_has_body(const mcp__head_t *head);

/* Takes the next bytes behind a complete head and appends the body to body, whose max is its limit. *used
 * says how many belong to it. MCP__HEAD_MORE with fewer bytes used than given: the gate of body has no room
 * now, the rest has to be given again. MCP__HEAD_BAD: head->status and head->problem say what to answer. */
mcp__head_state_t mcp__http_body_feed(mcp__head_t *head, mcp__buf_t *body, const char *data, size_t len,
                                      size_t *used);

#endif
