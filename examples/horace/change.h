/* change.h: the parts of a change to one file: its turn, its next version, one transaction.
 *
 * Each change is one transaction, before which the bytes are staged and after which they are finished
 * (staging.h). What is refused drops what was staged; where the outcome is unknown, that stays to be settled.
 */
#ifndef HORACE_CHANGE_H
#define HORACE_CHANGE_H

#include "files.h"
#include "staging.h"

/* Takes the turn of a file of the catalogue, with nothing under way; record is it then, for record_deinit().
 * False: there is no turn to be given back. */
bool change_begin(horace_t *horace, const char *id, cancel_token_t cancel, record_t *record,
                  failure_t *failure);
void change_end(horace_t *horace, const record_t *record); /* which lives on */

/* Each answers false: there is no turn; no version could be staged; the file is gone; nothing can be put in
 * its place. */
bool change_set_busy(failure_t *failure);
bool change_set_not_staged(failure_t *failure, int code);
bool change_set_missing(failure_t *failure);
bool change_no_directory(failure_t *failure, int code);

/* Stages an open file as the next version of record, which is that then; *changed: whether its bytes are new.
 */
bool change_stage_next(horace_t *horace, record_t *record, int file, cancel_token_t cancel, bool *changed,
                       failure_t *failure);

/* Makes details of wishes for this file. */
bool change_prepare(const record_t *record, metadata_update_t *update, failure_t *failure);

/* Runs write in a transaction: its code, or why it could not be committed. */
typedef int (*change_write_cb)(db_conn_t *conn, void *arg, store_error_t *error);
int change_commit(horace_t *horace, change_write_cb write, void *arg, store_error_t *error);
bool change_set_not_committed(horace_t *horace, failure_t *failure, int code,
                              const store_error_t *error); /* false */

/* Whether nothing of it can have been committed. */
bool change_is_refused(int code);

/* What changes at once; record is as it shall be. */
typedef struct edit {
  const record_t *record;
  int versions;              /* how many are kept, where there is a new one; 0: there is none */
  metadata_update_t *update; /* prepared; NULL: none */
  bool set_status;
  bool set_path; /* and what goes by it */
  const char *add_path, *drop_path;
  const char *unused_path; /* before it is added: nothing is there */
  const char *released_by; /* whose own path add_path was: the id of a deleted file, whose turn is taken */
  int64_t oldest;          /* comes out: the oldest version left */
} edit_t;

int change_commit_edit(horace_t *horace, edit_t *edit, store_error_t *error);

#endif
