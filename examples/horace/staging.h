/* staging.h: changes of files that are complete or undone after a crash at any point.
 *
 * A version is first staged in the working directory, then committed in the catalogue, then published. The
 * working directory shows which changes are pending, and the catalogue which of them were committed: the
 * recovery completes those and undoes the others. The caller of each function holds the lock of the file's
 * id.
 *
 *     ID.N       bytes that become version N
 *     ID.N.file  the same for the file itself: a restored version
 *     ID.move    the file moves to the archive or back
 *     ID.purge   the file and all its versions are removed */
#ifndef HORACE_STAGING_H
#define HORACE_STAGING_H

#include "horace.h"

/* Copies an open file to become a version. Returns 0, -errno, -EAGAIN if it changes all the time, or
 * -ECANCELED. */
int staging_add_version(horace_t *horace, const char *id, int64_t version, int from, cancel_token_t cancel,
                        blob_t *blob);

/* Copies an open file to replace the file itself; it gets the owner and the mode of present, which may be
 * NULL. */
int staging_add_file(horace_t *horace, const char *id, int64_t version, int from, const struct stat *present,
                     cancel_token_t cancel, blob_t *blob);

/* Discards what was staged for a version. */
void staging_discard(horace_t *horace, const char *id, int64_t version);

/* Publishes a committed version and removes the bytes of versions before oldest. A failure is logged and
 * left to the recovery. */
void staging_publish(horace_t *horace, const char *id, int64_t version, int64_t oldest);

/* Puts the staged file in its place. */
void staging_publish_file(horace_t *horace, const record_t *record);

/* Marks a file as being moved or removed, before the commit. Returns 0 or -errno. */
int staging_mark(horace_t *horace, const char *id, const char *what);
void staging_unmark(horace_t *horace, const char *id, const char *what);

/* Moves the bytes to where the catalogue says they are, and removes the mark. */
void staging_move(horace_t *horace, const record_t *record, cancel_token_t cancel);

/* Removes the file, unless it has changed since its last version, its versions, its rows and the mark. */
bool staging_purge(horace_t *horace, const record_t *record, cancel_token_t cancel, failure_t *failure);

/* Recovers the pending changes of a file, if there are any. */
bool staging_recover(horace_t *horace, const char *id, cancel_token_t cancel, failure_t *failure);

/* The same for all files that are not locked; a failure of one does not stop the others. */
void staging_recover_all(horace_t *horace, cancel_token_t cancel);

#endif
