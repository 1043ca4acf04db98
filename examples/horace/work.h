/* work.h: changes of files that a crash at any point leaves done or undone, never by half.
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
#ifndef HORACE_WORK_H
#define HORACE_WORK_H

#include "horace.h"

/* Copies an open file to become a version. 0; -errno; -EAGAIN: it changes all the time; -ECANCELED. */
int work_stage(horace_t *horace, const char *id, int64_t version, int from, store_stop_t stop,
               bytes_t *bytes);

/* The same for what takes the file's place. present: whose owner and rights it gets; NULL: there is none. */
int work_stage_file(horace_t *horace, const char *id, int64_t version, int from, const struct stat *present,
                    store_stop_t stop, bytes_t *bytes);

/* Drops what was staged for a version that is not to be. */
void work_drop(horace_t *horace, const char *id, int64_t version);

/* Finishes a version that the catalogue has: versions before oldest lose their bytes. What fails here is
 * logged, and settled later. */
void work_finish(horace_t *horace, const char *id, int64_t version, int64_t oldest);

/* Puts the staged file in its place. */
void work_put_back(horace_t *horace, const record_t *record);

/* Marks the file as being moved or removed, before the catalogue says so: 0 or -errno. */
int work_mark(horace_t *horace, const char *id, const char *what);
void work_unmark(horace_t *horace, const char *id, const char *what);

/* Brings the bytes to where the catalogue says they are, and takes the mark away. */
void work_move(horace_t *horace, const record_t *record, store_stop_t stop);

/* Removes the file, where it is still as the catalogue knows it, its versions, all that is known of it and
 * the mark. */
bool work_purge(horace_t *horace, const record_t *record, store_stop_t stop, trouble_t *trouble);

/* Settles what is under way for a file, if anything is. */
bool work_settle(horace_t *horace, const char *id, store_stop_t stop, trouble_t *trouble);

/* The same for all files that nobody works on; one that cannot be settled keeps none of the others waiting.
 */
void work_settle_all(horace_t *horace, store_stop_t stop);

#endif
