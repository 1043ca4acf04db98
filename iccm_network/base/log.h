/* log.h: creates log records and writes them to stderr, to the log handler, or to a route. */
#ifndef MCP_LOG_H
#define MCP_LOG_H

#include "base/buf.h"
#include "base/span.h"

#include <stdarg.h>

/* A log record. All pointers are borrowed; text is UTF-8 and ends in NUL. */
typedef struct mcp__log_record {
  int level;
  int64_t time_us;
  const char *part, *message;
  const char *trace_id, *span_id, *parent_span_id; /* NULL: none */
  const char *data;                                /* JSON text; NULL: none */
  size_t data_len;
} mcp__log_record_t;

int mcp__log_threshold(void); /* the lowest level written to stderr or the handler */
/* Passes the record to the handler, or writes it to stderr, on this thread and whatever its level. */
void mcp__log_show(const mcp__log_record_t *record);
/* Writes text to stderr, waiting at most timeout_ms for each write. Returns the number of bytes written. If
 * stderr is closed, it counts everything as written. */
size_t mcp__log_write_stderr(const char *text, size_t len, int timeout_ms);
bool mcp__log_has_handler(void); /* a log handler is set; it is called on the thread that logs */
/* Formats a line for stderr, with secrets redacted. */
int mcp__log_format_record(mcp__buf_t *out, const mcp__log_record_t *record);

/* Sets the function that receives the records of mcp_log() and mcp_log_data() from min_level on. It is also
 * responsible for passing them to stderr or the handler. NULL: records are only passed there. */
typedef void (*mcp__log_route_cb)(const mcp__log_record_t *record);
void mcp__log_set_route(mcp__log_route_cb route, int min_level);

/* Sets the data of a record to JSON text. If it is longer than MCP__LOG_DATA_BYTES, only its size is logged,
 * as JSON that is written to note. */
enum { MCP__LOG_DATA_BYTES = 128 << 10, MCP__LOG_NOTE_BYTES = 48 };
void mcp__log_add_data(mcp__log_record_t *record, const char *json, size_t len,
                       char note[MCP__LOG_NOTE_BYTES]);

/* The same for text that the library has not written: if it is not JSON, only its size is logged. */
void mcp__log_add_text(mcp__log_record_t *record, const char *json, size_t len,
                       char note[MCP__LOG_NOTE_BYTES]);

/* Sets the trace that records of mcp_log() on this thread belong to. Borrowed until it is cleared. NULL:
 * none. */
void mcp__log_set_trace(const mcp__trace_t *trace);
void mcp__log_clear_trace(const mcp__trace_t *trace); /* no effect if another trace is set */

/* Formats the message of a record: valid UTF-8, truncated to the size of the buffer. */
enum { MCP__LOG_MESSAGE_BYTES = 8192 };
void mcp__log_format_message(char text[MCP__LOG_MESSAGE_BYTES], const char *format, va_list args);
void mcp__log_copy_message(char text[MCP__LOG_MESSAGE_BYTES], const char *message, size_t len);

#endif
