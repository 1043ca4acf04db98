/* files.h: the operations on files: register, update, restore, purge. They block and may run on several
 * threads at once; operations on one file run one after the other. On false, failure says why, and nothing
 * has changed or the recovery will decide (staging.h). */
#ifndef HORACE_FILES_H
#define HORACE_FILES_H

#include "staging.h"

enum { FILES_METADATA_MAX_BYTES = 64 * 1024 };

/* A deleted file can be reactivated for this time. */
#define FILES_DELETED_RETENTION_US (INT64_C(30) * 24 * 60 * 60 * 1000000)

enum register_result {
  REGISTERED_NEW,         /* new in the catalogue */
  REGISTERED_CHANGED,     /* known, with a new version */
  REGISTERED_REACTIVATED, /* was deleted; active again with the same bytes */
  REGISTERED_DUPLICATE,   /* the bytes are known; a new path is recorded */
  /* The bytes are known and their file is gone from its path, which becomes this one. */
  REGISTERED_RENAMED,
};

/* The metadata that a caller sets for a file. */
typedef struct update {
  details_t details; /* without metadata, which is derived from members */
  /* Members without a column, an object or NULL. A null value removes a member. */
  yyjson_mut_val *members;
  yyjson_mut_doc *doc;            /* owns the values */
  int status;                     /* enum file_status; -1: unchanged */
  char collection[MCP_UUID_SIZE]; /* storage for details.collection */
} metadata_update_t;

/* Registers a file. record is its new state, for record_deinit(). For a duplicate or a renamed file it is
 * the file that has the bytes, and the update is ignored. */
bool file_register(horace_t *horace, mcp_text_t file_path, metadata_update_t *update, cancel_token_t cancel,
                   record_t *record, enum register_result *result, failure_t *failure);

/* Applies update; with check also makes a version if the bytes have changed. *created: its number, or 0. */
bool file_update(horace_t *horace, const char *id, metadata_update_t *update, bool check,
                 cancel_token_t cancel, record_t *record, int64_t *created, failure_t *failure);

/* Makes the bytes of a version current again, as a new version. The present bytes become a version first. */
bool file_restore(horace_t *horace, const char *id, int64_t version, cancel_token_t cancel, record_t *record,
                  failure_t *failure);

/* Removes files whose retention has ended. Returns false if it must wait because the clock may be wrong. */
bool files_purge(horace_t *horace, cancel_token_t cancel);

#endif
