/* stores.h: what every store answers with, whatever it stores and whatever database it stands on.
 *
 * Functions of a store block, may be called on any thread and by several at once, and answer a store_code.
 * What went wrong in the database's own words (SQL, paths) stands in store_error_t: that text is for the log
 * and never for a caller; brief may be seen by all. */
#ifndef STORES_H
#define STORES_H

#include <iccm_service.h>

enum store_code {
  STORE_OK,
  STORE_BUSY,      /* somebody else held the database for too long: the same call may work in a moment */
  STORE_TIMEOUT,   /* the query took longer than STORE_QUERY_TIMEOUT_MS: a narrower one may work */
  STORE_CANCELLED, /* cancel_token_t, or the source of what is stored, said so */
  STORE_NOT_FOUND, /* what was named is not there */
  STORE_CONFLICT,  /* what may be there once only is there already */
  STORE_INVALID,   /* the database cannot hold or compare a value that it was given: the caller's, not its own
                    */
  STORE_FAILED     /* disk full, input/output error, damaged file */
};

/* Below the 30 s after which callers give up. */
enum { STORE_QUERY_TIMEOUT_MS = 25 * 1000 };

/* What everybody sees of a disk, a quota or a limit that leaves no room, whichever store it is. */
#define STORE_DISK_FULL "disk full"

typedef struct store_error {
  char text[256];
  const char *brief; /* with STORE_FAILED: the kind of failure, never freed */
} store_error_t;

/* Asked now and then during long work and waits; true ends it with STORE_CANCELLED. cb NULL: never. */
typedef struct cancel_token {
  bool (*cb)(void *arg);
  void *arg;
} cancel_token_t;

#define CANCEL_NEVER ((cancel_token_t){NULL, NULL})

enum { CANCEL_POLL_MS = 100 }; /* how soon waits notice it */

static inline bool cancel_requested(cancel_token_t cancel) {
  return cancel.cb != NULL && cancel.cb(cancel.arg);
}

enum { PQ_HOSTS_MAX = 8, PQ_HOST_SIZE = 256 };

/* Where a PostgreSQL database is; all borrowed. host may be several, parted by commas; port is one for all of
 * them, or as many. password NULL: none, or one that libpq finds by itself. */
typedef struct pq_conninfo {
  const char *host, *port, *name, *user, *password;
  int64_t statement_timeout_ms; /* of a statement that stores, with the wait for a standby; 0: 30 s */
} pq_conninfo_t;

#endif
