/* logs.h: a log line between its JSON and the store: judging what comes in, writing what goes out. */
#ifndef DEWEY_LOGS_H
#define DEWEY_LOGS_H

#include "store.h"

/* Entries on their way into the store. Their texts lie in the arguments that they were read from, or in
 * blocks. */
typedef struct log_batch {
  log_entry_t *entries;
  size_t count;
  char **blocks;
  size_t block_count;
  size_t bytes; /* of all entries, as JSON */
} log_batch_t;

/* Room for max entries. False: no memory. */
bool log_batch_init(log_batch_t *batch, size_t max);
void log_batch_deinit(log_batch_t *batch);

enum { LOG_COMPONENT_MAX_BYTES = 256 }; /* of an entry that is taken; older rows may have longer ones */

enum { LOG_ACCEPTED, LOG_REJECTED, LOG_NO_MEMORY };

/* Judges one entry and takes it into the batch; LOG_REJECTED: *reason says why, in words for the caller.
 * now_us is the time of receipt. */
int log_batch_add(log_batch_t *batch, yyjson_val *value, int64_t now_us, const char **reason);

/* A row as the caller sees it, made in doc. */
yyjson_mut_val *log_row_json(yyjson_mut_doc *doc, const log_entry_t *row, int64_t now_us);

/* At most this many bytes does the row take in an answer, where it stands as JSON inside of a JSON text. */
size_t log_row_wire_bytes(const log_entry_t *row);

/* A place in the order of rows, as a text that callers hand back. Parsing: false where it is none of ours. */
enum { LOG_CURSOR_SIZE = 64 };
void log_cursor_format(const log_entry_t *row, char cursor[LOG_CURSOR_SIZE]);
bool log_cursor_parse(mcp_text_t cursor, int64_t *created_at, char id[MCP_UUID_SIZE]);

#endif
