/* entry.h: one log entry as JSON: made from a call, or adopted from whoever pushed it; pure. */
#ifndef GODOT_ENTRY_H
#define GODOT_ENTRY_H

#include <iccm_network.h>
#include <stddef.h>
#include <stdint.h>

enum {
  ENTRY_MAX_BYTES = 256 * 1024, /* component, message, trace id and data together, as JSON */
  ENTRY_MAX_TRACE_ID = 128,
  ENTRY_MAX_COMPONENT = 256, /* bytes of a name, as the store has it */
  ENTRY_MAX_DEPTH = 56,      /* of 64 in a message; a batch stands five levels deep in its own */
  ENTRY_REASON_SIZE = 160
};

/* The words for a level that is none, of an entry or of a component. */
#define ENTRY_INVALID_LEVEL "level is none of TRACE, DEBUG, INFO, WARN, ERROR"

/* Makes the entry for logger_log's arguments (checked against its schema): level in upper case, id and
 * created_at fixed, secrets taken out (mcp_redact()), of which *redacted says how many. trace_id is for an
 * entry without one, may be NULL. Answers the text, malloc's, or NULL and why not. */
char *entry_new(yyjson_val *args, const char *trace_id, int64_t now_us, size_t *len, size_t *redacted,
                char reason[ENTRY_REASON_SIZE]);

/* Where a queued entry was found: gives those without an id the same id each time. */
typedef struct entry_origin {
  const char *instance; /* UUID of the Redis */
  const char *batch;    /* its number */
  size_t index;
  int64_t claimed_us; /* for those without a time */
} entry_origin_t;

/* Reads what stands in the queue. Answers it, malloc's and ended by NUL, fit for the store: as it came where
 * it has id, created_at and level in order and no secrets, else completed and redacted, with what was
 * replaced (but secrets) kept in data. NULL and why not. */
char *entry_normalize(const char *text, size_t len, const entry_origin_t *origin, size_t *out_len,
                      size_t *redacted, char reason[ENTRY_REASON_SIZE]);

/* Of what is no entry: the text, malloc's, without its secrets, as far as they can be told where it is no
 * JSON (text_redact.h). NULL: no memory. */
char *entry_redact(const char *text, size_t len, size_t *out_len, size_t *redacted);

/* The letter for logs:dead: {"at","reason","entry"}, with "entry_base64" for what is not UTF-8, both cut to
 * ENTRY_MAX_BYTES (then "cut_from" says how long it was). malloc's; NULL: no memory. */
char *entry_dead_letter(const char *text, size_t len, const char *reason, int64_t now_us, size_t *out_len);

/* The line that names drops. It begins with {"godot_drops":[count,first_us], by which the scripts know it
 * (common.lua). malloc's; NULL: no memory. */
char *entry_drop_report(int64_t count, int64_t first_us, int64_t last_us, size_t *out_len);

#endif
