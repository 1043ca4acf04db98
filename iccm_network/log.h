/* log.h: one line of the log on its way to stderr, and to wherever else lines go. */
#ifndef MCP_LOG_H
#define MCP_LOG_H

#include "buf.h"

#include <stdarg.h>

/* A line. Everything is borrowed; text is UTF-8 and ends in NUL. */
typedef struct mcp__entry {
  int level;
  int64_t time_us;
  const char *part, *message;
  const char *trace_id, *span_id, *parent_span_id; /* NULL: none */
  const char *data;                                /* JSON text; NULL: none */
  size_t data_len;
} mcp__entry_t;

int mcp__log_threshold(void); /* the lowest level that is shown */
void mcp__log_show(
    const mcp__entry_t *entry); /* to the hook or stderr, from this thread, whatever its level */
bool mcp__log_is_hooked(void);  /* shows to a hook, which wants to be called where a line is made */
int mcp__log_write(mcp__buf_t *out, const mcp__entry_t *entry); /* as it looks on stderr, secrets taken out */

/* What takes the lines of mcp_log() and its like from lowest on; it sees to it that they are shown, too.
 * NULL: they are shown and nothing else. */
typedef void (*mcp__log_route_cb)(const mcp__entry_t *entry);
void mcp__log_set_route(mcp__log_route_cb route, int lowest);

/* What printf would print as a line's message: valid UTF-8, cut where it is too long. */
enum { MCP__LOG_MESSAGE_BYTES = 8192 };
void mcp__log_format(char text[MCP__LOG_MESSAGE_BYTES], const char *format, va_list args);

#endif
