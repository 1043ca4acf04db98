/* http_body.c: llhttp takes the body apart; its bytes are counted here, since llhttp limits neither the
 * number of chunks nor the size of their extensions and trailers. */
#include "transport/http_body.h"

static mcp__head_state_t bad(mcp__head_t *head, int status, const char *problem) {
  head->status = status;
  head->problem = problem;
  return MCP__HEAD_BAD;
}

bool mcp__http_has_body(const mcp__head_t *head) {
  return (head->parser.flags & F_CHUNKED) != 0 || head->parser.content_length > 0;
}

static bool is_mostly_overhead(const mcp__head_t *head, const mcp__buf_t *body) {
  return head->body_bytes > MCP__BODY_OVERHEAD + body->len * (1 + (size_t)MCP__BODY_OVERHEAD_TIMES);
}

/* Room for all that may follow at once, so that the body is taken whole or, without room, later. */
static int reserve(mcp__buf_t *body, size_t len) {
  size_t left = body->max - body->len;
  return mcp__buf_reserve(body, len < left ? len : left);
}

mcp__head_state_t mcp__http_body_feed(mcp__head_t *head, mcp__buf_t *body, const char *data, size_t len,
                                      size_t *used) {
  *used = 0;
  int status = reserve(body, len);
  if (status == MCP_ELIMIT)
    return MCP__HEAD_MORE;
  if (status != 0)
    return bad(head, 503, "no memory for the body, retry later");
  head->body = body;
  if (llhttp_get_errno(&head->parser) == HPE_PAUSED)
    llhttp_resume(&head->parser);
  llhttp_errno_t error = llhttp_execute(&head->parser, data, len);
  *used = error == HPE_PAUSED ? (size_t)(llhttp_get_error_pos(&head->parser) - data) : len;
  head->body_bytes += *used;
  if (error != HPE_OK && error != HPE_PAUSED)
    return head->problem != NULL ? MCP__HEAD_BAD : bad(head, 400, "the body is not valid HTTP");
  if (is_mostly_overhead(head, body))
    return bad(head, 400, "the body has too many chunk extensions or trailers");
  return error == HPE_PAUSED ? MCP__HEAD_DONE : MCP__HEAD_MORE;
}
