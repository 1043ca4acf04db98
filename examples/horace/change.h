/* change.h: the parts of a change to one file: its turn, its next version, one transaction.
 *
 * Each change is one transaction, before which the bytes are staged and after which they are finished
 * (work.h). What is refused drops what was staged; where the outcome is unknown, that stays to be settled. */
#ifndef HORACE_CHANGE_H
#define HORACE_CHANGE_H

#include "files.h"
#include "work.h"

/* Takes the turn of a file of the catalogue, with nothing under way; record is it then, for record_deinit().
 * False: there is no turn to be given back. */
bool change_begin(horace_t *horace, const char *id, store_stop_t stop, record_t *record, trouble_t *trouble);
void change_end(horace_t *horace, const record_t *record); /* which lives on */

/* Each answers false: there is no turn; no version could be staged; the file is gone; nothing can be put in
 * its place. */
bool change_busy(trouble_t *trouble);
bool change_not_staged(trouble_t *trouble, int code);
bool change_missing(trouble_t *trouble);
bool change_no_place(trouble_t *trouble, int code);

/* Stages an open file as the next version of record, which is that then; *changed: whether its bytes are new.
 */
bool change_stage_next(horace_t *horace, record_t *record, int file, store_stop_t stop, bool *changed,
                       trouble_t *trouble);

/* Makes details of wishes for this file. */
bool change_prepare(const record_t *record, wishes_t *wishes, trouble_t *trouble);

/* Runs write in a transaction: its code, or why it could not be committed. */
typedef int (*change_write_cb)(db_conn_t *conn, void *arg, store_error_t *error);
int change_commit(horace_t *horace, change_write_cb write, void *arg, store_error_t *error);
bool change_not_committed(horace_t *horace, trouble_t *trouble, int code,
                          const store_error_t *error); /* false */

/* Whether nothing of it can have been committed. */
bool change_is_refused(int code);

/* What changes at once; record is as it shall be. */
typedef struct edit {
  const record_t *record;
  int versions;     /* how many are kept, where there is a new one; 0: there is none */
  wishes_t *wishes; /* prepared; NULL: none */
  bool set_status;
  bool set_path; /* and what goes by it */
  const char *add_path, *drop_path;
  const char *free_path; /* before it is added: nothing is there */
  const char *given_up;  /* whose own path add_path was: the id of a deleted file, whose turn is taken */
  int64_t oldest;        /* comes out: the oldest version left */
} edit_t;

int change_commit_edit(horace_t *horace, edit_t *edit, store_error_t *error);

#endif
