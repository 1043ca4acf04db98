/* logs.h: log lines between JSON and the store: validates entries, formats rows. */
#ifndef DEWEY_LOGS_H
#define DEWEY_LOGS_H

#include "store.h"

/* Entries to be stored. Their texts point into the arguments or into blocks. */
typedef struct log_batch {
  log_entry_t *entries;
  size_t count;
  char **blocks;
  size_t block_count;
  size_t bytes; /* of all entries, as JSON */
} log_batch_t;

/* Allocates max entries. Returns false if out of memory. */
bool log_batch_init(log_batch_t *batch, size_t max);
void log_batch_deinit(log_batch_t *batch);

enum { LOG_COMPONENT_MAX_BYTES = 256 }; /* for new entries; older rows may have longer ones */

enum { LOG_ACCEPTED, LOG_REJECTED, LOG_NO_MEMORY };

/* Validates an entry and adds it to the batch. With LOG_REJECTED, *reason is a public message. now_us is
 * the time of receipt. */
int log_batch_add(log_batch_t *batch, yyjson_val *value, int64_t now_us, const char **reason);

/* Creates a row of the response in doc. */
yyjson_mut_val *log_row_json(yyjson_mut_doc *doc, const log_entry_t *row, int64_t now_us);

/* Upper limit of the bytes that a row takes in a response, as JSON inside a JSON string. */
size_t log_row_wire_bytes(const log_entry_t *row);

/* A position in the order of rows, as an opaque text for callers. Parsing returns false if the text is
 * invalid. */
enum { LOG_CURSOR_SIZE = 64 };
void log_cursor_format(const log_entry_t *row, char cursor[LOG_CURSOR_SIZE]);
bool log_cursor_parse(mcp_text_t cursor, int64_t *created_at, char id[MCP_UUID_SIZE]);

#endif
