/* entry.h: one log entry as JSON: made from a call's arguments, or normalized from a queue entry. No I/O. */
#ifndef GODOT_ENTRY_H
#define GODOT_ENTRY_H

#include <iccm_network.h>
#include <stddef.h>
#include <stdint.h>

enum {
  ENTRY_MAX_BYTES = 256 * 1024, /* component, message, trace id and data together, as JSON */
  ENTRY_MAX_TRACE_ID = 128,     /* bytes */
  ENTRY_MAX_COMPONENT = 256,    /* bytes; the store has the same limit */
  ENTRY_MAX_DEPTH = 56,         /* of the 64 levels of a message; a batch takes five of them */
  ENTRY_REASON_SIZE = 160
};

/* The error message for an invalid level of an entry or of a component. */
#define ENTRY_INVALID_LEVEL "level is none of TRACE, DEBUG, INFO, WARN, ERROR"

/* Makes a log entry of logger_log's arguments, which have been validated against its schema: the level in
 * upper case, id and created_at set, secrets redacted (mcp_redact()). trace_id is used if the arguments have
 * none; it may be NULL. *redacted is the number of redacted members. Returns the JSON text, allocated with
 * malloc, or NULL with the reason set. */
char *entry_new(yyjson_val *args, const char *trace_id, int64_t now_us, size_t *len, size_t *redacted,
                char reason[ENTRY_REASON_SIZE]);

/* Where a queue entry was found. An entry without an id gets an id derived from it, the same each time. */
typedef struct entry_origin {
  const char *instance; /* UUID of the Redis data */
  const char *batch;    /* batch number */
  size_t index;
  int64_t claimed_us; /* used as created_at if the entry has none */
} entry_origin_t;

/* Makes a log entry of a queue entry. A queue entry with valid id, created_at and level and without secrets
 * is copied unchanged; any other is completed and redacted, and replaced values other than secrets are kept
 * in data. Returns the JSON text, allocated with malloc and NUL-terminated, or NULL with the reason set. */
char *entry_normalize(const char *text, size_t len, const entry_origin_t *origin, size_t *out_len,
                      size_t *redacted, char reason[ENTRY_REASON_SIZE]);

/* Returns a copy, allocated with malloc, of a queue entry that cannot be normalized, with its secrets
 * redacted; if it is not JSON, as far as text_redact() recognizes them. Returns NULL if out of memory. */
char *entry_redact(const char *text, size_t len, size_t *out_len, size_t *redacted);

/* Returns the dead letter for logs:dead: {"at","reason","entry"}, or "entry_base64" if the text is not UTF-8.
 * An entry longer than ENTRY_MAX_BYTES is truncated, and "cut_from" is its original length. Allocated with
 * malloc; NULL if out of memory. */
char *entry_dead_letter(const char *text, size_t len, const char *reason, int64_t now_us, size_t *out_len);

/* Returns the drop report, a log entry that reports dropped entries. It begins with
 * {"godot_drops":[count,first_us], by which the scripts recognize it (common.lua). Allocated with malloc;
 * NULL if out of memory. */
char *entry_drop_report(int64_t count, int64_t first_us, int64_t last_us, size_t *out_len);

#endif
