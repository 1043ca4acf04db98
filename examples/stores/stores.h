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
  STORE_BUSY,    /* somebody else held the database for too long: the same call may work in a moment */
  STORE_SLOW,    /* the query took longer than STORE_QUERY_MS: a narrower one may work */
  STORE_STOPPED, /* store_stop_t, or the source of what is stored, said so */
  STORE_NONE,    /* what was named is not there */
  STORE_TAKEN,   /* what may be there once only is there already */
  STORE_REFUSED, /* the database cannot hold or compare a value that it was given: the caller's, not its own
                  */
  STORE_FAILED   /* disk full, input/output error, damaged file */
};

/* Below the 30 s after which callers give up. */
enum { STORE_QUERY_MS = 25 * 1000 };

/* What everybody sees of a disk, a quota or a limit that leaves no room, whichever store it is. */
#define STORE_DISK_FULL "disk full"

typedef struct store_error {
  char text[256];
  const char *brief; /* with STORE_FAILED: the kind of failure, never freed */
} store_error_t;

/* Asked now and then during long work and waits; true ends it with STORE_STOPPED. cb NULL: never. */
typedef struct store_stop {
  bool (*cb)(void *arg);
  void *arg;
} store_stop_t;

#define STORE_NEVER ((store_stop_t){NULL, NULL})

enum { STORE_STEP_MS = 100 }; /* how soon waits notice it */

static inline bool store_stops(store_stop_t stop) {
  return stop.cb != NULL && stop.cb(stop.arg);
}

enum { PLACE_HOSTS_MAX = 8, PLACE_HOST_SIZE = 256 };

/* Where a PostgreSQL database is; all borrowed. host may be several, parted by commas; port is one for all of
 * them, or as many. password NULL: none, or one that libpq finds by itself. */
typedef struct pq_place {
  const char *host, *port, *name, *user, *password;
  int64_t limit_ms; /* of a statement that stores, with the wait for a standby; 0: 30 s */
} pq_place_t;

#endif
