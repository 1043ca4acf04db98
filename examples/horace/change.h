/* change.h: the parts of a change to one file: its lock, its next version, one transaction.
 *
 * Each change is one transaction. The bytes are staged before it and published after it (staging.h). A
 * refused change discards them; if the result of the commit is unknown, they stay for the recovery. */
#ifndef HORACE_CHANGE_H
#define HORACE_CHANGE_H

#include "files.h"
#include "staging.h"

/* Locks a file of the catalogue, recovers its pending changes and reads it into record, for
 * record_deinit(). Returns false with failure set; then the file is not locked. */
bool change_begin(horace_t *horace, const char *id, cancel_token_t cancel, record_t *record,
                  failure_t *failure);
void change_end(horace_t *horace, const record_t *record); /* does not free record */

/* Set a failure and return false: the file is locked; a version cannot be staged; the file is gone; its
 * directory cannot be used. */
bool change_set_busy(failure_t *failure);
bool change_set_not_staged(failure_t *failure, int code);
bool change_set_missing(failure_t *failure);
bool change_no_directory(failure_t *failure, int code);

/* Stages an open file as the next version, if its bytes are new (*changed), and updates record. */
bool change_stage_next(horace_t *horace, record_t *record, int file, cancel_token_t cancel, bool *changed,
                       failure_t *failure);

/* Merges the update with the file's metadata and serialises it. */
bool change_prepare(const record_t *record, metadata_update_t *update, failure_t *failure);

/* Runs write in a transaction. Returns its code, or why the commit has failed. */
typedef int (*change_write_cb)(db_conn_t *conn, void *arg, store_error_t *error);
int change_commit(horace_t *horace, change_write_cb write, void *arg, store_error_t *error);
bool change_set_not_committed(horace_t *horace, failure_t *failure, int code,
                              const store_error_t *error); /* returns false */

/* True if nothing can have been committed. */
bool change_is_refused(int code);

/* One transaction on a file; record holds its new state. */
typedef struct edit {
  const record_t *record;
  int versions;              /* number of versions to keep, with a new version; else 0 */
  metadata_update_t *update; /* prepared, or NULL */
  bool set_status;
  bool set_path; /* and the MIME type, which depends on it */
  const char *add_path, *drop_path;
  const char *unused_path; /* a path without a file, removed before add_path is added */
  /* Id of a deleted and locked file whose own path add_path was, or NULL. */
  const char *released_by;
  int64_t oldest; /* result: oldest version kept */
} edit_t;

int change_commit_edit(horace_t *horace, edit_t *edit, store_error_t *error);

#endif
