/* staging.h: changes of files that a crash at any point leaves done or undone, never by half.
 *
 * A version is first staged in the working directory, then written down in the catalogue, then finished. What
 * stands in the working directory tells what was under way, and the catalogue whether it counts: settling
 * finishes it where it does, else undoes it. Whoever calls these has the turn of the file's id.
 *
 *     ID.N       bytes that become version N
 *     ID.N.file  the same, which take the file's place: a restored version
 *     ID.move    the file goes to the archive, or comes back
 *     ID.purge   the file and all of its versions are removed
 */
#ifndef HORACE_STAGING_H
#define HORACE_STAGING_H

#include "horace.h"

/* Copies an open file to become a version. 0; -errno; -EAGAIN: it changes all the time; -ECANCELED. */
int staging_add_version(horace_t *horace, const char *id, int64_t version, int from, cancel_token_t cancel,
                        blob_t *blob);

/* The same for what takes the file's place. present: whose owner and rights it gets; NULL: there is none. */
int staging_add_file(horace_t *horace, const char *id, int64_t version, int from, const struct stat *present,
                     cancel_token_t cancel, blob_t *blob);

/* Drops what was staged for a version that is not to be. */
void staging_discard(horace_t *horace, const char *id, int64_t version);

/* Finishes a version that the catalogue has: versions before oldest lose their bytes. What fails here is
 * logged, and settled later. */
void staging_publish(horace_t *horace, const char *id, int64_t version, int64_t oldest);

/* Puts the staged file in its place. */
void staging_publish_file(horace_t *horace, const record_t *record);

/* Marks the file as being moved or removed, before the catalogue says so: 0 or -errno. */
int staging_mark(horace_t *horace, const char *id, const char *what);
void staging_unmark(horace_t *horace, const char *id, const char *what);

/* Brings the bytes to where the catalogue says they are, and takes the mark away. */
void staging_move(horace_t *horace, const record_t *record, cancel_token_t cancel);

/* Removes the file, where it is still as the catalogue knows it, its versions, all that is known of it and
 * the mark. */
bool staging_purge(horace_t *horace, const record_t *record, cancel_token_t cancel, failure_t *failure);

/* Settles what is under way for a file, if anything is. */
bool staging_recover(horace_t *horace, const char *id, cancel_token_t cancel, failure_t *failure);

/* The same for all files that nobody works on; one that cannot be settled keeps none of the others waiting.
 */
void staging_recover_all(horace_t *horace, cancel_token_t cancel);

#endif
