/* conn_parts.h: functions that the files of conn share. */
#ifndef MCP_CONN_PARTS_H
#define MCP_CONN_PARTS_H

#include "server/conn.h"

void mcp__conn_enter(mcp__conn_t *conn, mcp__conn_state_t state);
void mcp__conn_charge(mcp__conn_t *conn); /* buffers may have changed */
void mcp__conn_start_closing(mcp__conn_t *conn);
void mcp__conn_close_now(mcp__conn_t *conn);
/* After input was fed to the parser of a head or body: calls on_done if it is complete, refuses if it is
 * invalid. Returns used. */
size_t mcp__conn_after_feed(mcp__conn_t *conn, mcp__head_state_t state, void (*on_done)(mcp__conn_t *conn),
                            size_t used);
/* Responds with a plain text, logs and counts it, and closes. */
void mcp__conn_refuse(mcp__conn_t *conn, int status, const char *text);
/* Whether there is memory to parse the message of a call; connections that hold more may be evicted. */
bool mcp__conn_may_parse(mcp__conn_t *conn, mcp_call_t *call);
void mcp__conn_count_message(mcp__conn_t *conn);
bool mcp__conn_is_over_message_rate(const mcp__conn_t *conn);
/* Whether a message of len bytes, which is incomplete, has grown too slowly. */
bool mcp__conn_is_trickling(mcp__conn_t *conn, bool is_incomplete, size_t len, uint64_t now_ms);

#endif
