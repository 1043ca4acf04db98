/* stores.h: types that all stores share.
 *
 * Functions of a store block, may be called on any thread and by several at once, and return a store_code.
 * store_error_t.text holds the database's own message (SQL, paths): it is for the log and never for a
 * caller. brief is public. */
#ifndef STORES_H
#define STORES_H

#include <iccm_service.h>

enum store_code {
  STORE_OK,
  STORE_BUSY, /* locked by others for too long; retry */
  /* The query took longer than STORE_QUERY_TIMEOUT_MS; a narrower one may succeed. */
  STORE_TIMEOUT,
  STORE_CANCELLED, /* by the cancel token or the source of the rows */
  STORE_NOT_FOUND, /* the named object does not exist */
  STORE_CONFLICT,  /* a unique object exists already */
  /* The caller passed a value that the database cannot store or compare. */
  STORE_INVALID,
  STORE_FAILED /* disk full, I/O error, damaged file */
};

/* Below the 30 s after which callers time out. */
enum { STORE_QUERY_TIMEOUT_MS = 25 * 1000 };

/* The public reason for a full disk, an exceeded quota or a size limit, on any store. */
#define STORE_DISK_FULL "disk full"

typedef struct store_error {
  char text[256];
  const char *brief; /* kind of failure, with STORE_FAILED; never freed */
} store_error_t;

/* Polled during long work and waits; true ends them with STORE_CANCELLED. cb NULL: never cancelled. */
typedef struct cancel_token {
  bool (*cb)(void *arg);
  void *arg;
} cancel_token_t;

#define CANCEL_NEVER ((cancel_token_t){NULL, NULL})

enum { CANCEL_POLL_MS = 100 }; /* interval at which waits poll it */

static inline bool cancel_requested(cancel_token_t cancel) {
  return cancel.cb != NULL && cancel.cb(cancel.arg);
}

enum { PQ_HOSTS_MAX = 8, PQ_HOST_SIZE = 256 };

/* How to connect to PostgreSQL; all strings are borrowed. host may be a comma-separated list; port is one
 * for all hosts or a list of the same length. password NULL: none, or one that libpq finds. */
typedef struct pq_conninfo {
  const char *host, *port, *name, *user, *password;
  /* Limit of a statement that stores, the wait for a standby included; 0: 30 s. */
  int64_t statement_timeout_ms;
} pq_conninfo_t;

#endif
