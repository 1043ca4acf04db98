/* log.h: one line of the log on its way to stderr, and to wherever else lines go. */
#ifndef MCP_LOG_H
#define MCP_LOG_H

#include "base/buf.h"
#include "base/span.h"

#include <stdarg.h>

/* A line. Everything is borrowed; text is UTF-8 and ends in NUL. */
typedef struct mcp__log_record {
  int level;
  int64_t time_us;
  const char *part, *message;
  const char *trace_id, *span_id, *parent_span_id; /* NULL: none */
  const char *data;                                /* JSON text; NULL: none */
  size_t data_len;
} mcp__log_record_t;

int mcp__log_threshold(void); /* the lowest level that is shown */
/* To the hook or stderr, from this thread, whatever its level. */
void mcp__log_show(const mcp__log_record_t *record);
/* Writes to stderr what it takes while that keeps the caller waiting no longer than patience_ms at a time:
 * how much. What nobody has open takes everything. */
size_t mcp__log_write_stderr(const char *text, size_t len, int timeout_ms);
bool mcp__log_has_handler(void); /* shows to a hook, which wants to be called where a line is made */
int mcp__log_format_record(mcp__buf_t *out,
                           const mcp__log_record_t *record); /* as it looks on stderr, secrets taken out */

/* What takes the lines of mcp_log() and its like from lowest on; it sees to it that they are shown, too.
 * NULL: they are shown and nothing else. */
typedef void (*mcp__log_route_cb)(const mcp__log_record_t *record);
void mcp__log_set_route(mcp__log_route_cb route, int min_level);

/* Gives a line its data, JSON text; where that is too much, its size, of which the words go to note. */
enum { MCP__LOG_DATA_BYTES = 128 << 10, MCP__LOG_NOTE_BYTES = 48 };
void mcp__log_add_data(mcp__log_record_t *record, const char *json, size_t len,
                       char note[MCP__LOG_NOTE_BYTES]);

/* What this thread is doing: lines of mcp_log() that it makes belong there. Borrowed until it is left; NULL:
 * nothing. */
void mcp__log_set_trace(const mcp__trace_t *trace);
void mcp__log_clear_trace(const mcp__trace_t *trace); /* also where it is not what this thread is doing */

/* What printf would print as a line's message: valid UTF-8, cut where it is too long. */
enum { MCP__LOG_MESSAGE_BYTES = 8192 };
void mcp__log_format_message(char text[MCP__LOG_MESSAGE_BYTES], const char *format, va_list args);

#endif
