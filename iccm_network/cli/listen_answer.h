/* listen_answer.h: the minimal responses of `iccm listen`; pure. */
#ifndef ICCM_CLI_LISTEN_ANSWER_H
#define ICCM_CLI_LISTEN_ANSWER_H

#include "base/arena.h"
#include "mcp/tools.h"
#include "transport/upgrade.h"

typedef struct listen_answer {
  mcp__tools_t tools;        /* none */
  mcp__arena_t arena;        /* of the current message */
  const char *members;       /* of each result from 2026-07-28 on */
  mcp__buf_t members_buffer; /* owns members */
} listen_answer_t;

void listen_answer_init(listen_answer_t *answer, size_t max_message);
void listen_answer_deinit(listen_answer_t *answer);

/* Writes the response to a message, which needs room for MCP__JSON_PADDING more bytes and is modified. head:
 * that of the HTTP request; NULL: it came over WebSocket. Returns the HTTP status: 202 if there is no
 * response; -1: the response is larger than out may be. */
int listen_respond(listen_answer_t *answer, mcp__buf_t *out, mcp__buf_t *message, const mcp__head_t *head);

#endif
