/* files.h: what can be done with a file: registered, changed, restored, removed. Blocks; any thread, and by
 * several at once: work on one file is done by one after the other. With false, trouble says why, and nothing
 * has changed, or is going to be settled (staging.h). */
#ifndef HORACE_FILES_H
#define HORACE_FILES_H

#include "staging.h"

enum { FILES_METADATA_MAX_BYTES = 64 * 1024 };

/* What is deleted can be had back for so long. */
#define FILES_DELETED_RETENTION_US (INT64_C(30) * 24 * 60 * 60 * 1000000)

enum register_result {
  REGISTERED_NEW,         /* it is in the catalogue now */
  REGISTERED_CHANGED,     /* it was, and has a new version */
  REGISTERED_REACTIVATED, /* it was deleted, and is active again with the same bytes */
  REGISTERED_DUPLICATE,   /* these bytes are known; a path that is new is, too, from now on */
  REGISTERED_RENAMED, /* these bytes are known, and gone from the path of their file, which is this one now */
};

/* What a caller says of a file beside its bytes. */
typedef struct update {
  details_t details;       /* but for its metadata, which is made of: */
  yyjson_mut_val *members; /* members for which there is no column; null takes one out. An object, or NULL */
  yyjson_mut_doc *doc;     /* memory to work with */
  int status;              /* enum file_status; -1: stays */
  char collection[MCP_UUID_SIZE]; /* details may point to it */
} metadata_update_t;

/* record is as it is afterwards, for record_deinit(); of a duplicate, or where it was renamed, it is the file
 * that has the bytes, and the wishes are not heard. */
bool file_register(horace_t *horace, mcp_text_t file_path, metadata_update_t *update, cancel_token_t cancel,
                   record_t *record, enum register_result *result, failure_t *failure);

/* Fulfils wishes; check: makes a version where the bytes have changed. *created: its number, or 0. */
bool file_update(horace_t *horace, const char *id, metadata_update_t *update, bool check,
                 cancel_token_t cancel, record_t *record, int64_t *created, failure_t *failure);

/* Makes the bytes of a version the current ones, by a new version; what is there is kept as one before. */
bool file_restore(horace_t *horace, const char *id, int64_t version, cancel_token_t cancel, record_t *record,
                  failure_t *failure);

/* Removes what was deleted long enough ago; false: it has to wait, since the clock may be wrong. */
bool files_purge(horace_t *horace, cancel_token_t cancel);

#endif
