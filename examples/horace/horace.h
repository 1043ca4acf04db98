/* horace.h: what all of Horace works with, and how its work fails. */
#ifndef HORACE_HORACE_H
#define HORACE_HORACE_H

#include "catalogue.h"
#include "clock_guard.h"
#include "metrics.h"
#include "health.h"
#include "storage.h"
#include "lock_table.h"

typedef struct horace {
  storage_t storage;
  db_t *db;
  mime_detector_t mime_detector;
  lock_table_t locks;
  int versions;              /* how many of a file are kept */
  clock_guard_t clock_guard; /* the keeper's own */
  health_t health;
  metrics_t metrics;
} horace_t;

/* Why some work came to nothing, for its caller. */
typedef struct failure {
  const char *error_code; /* "FILE_NOT_FOUND": never freed */
  bool retry;             /* nothing is wrong with what was asked: the same may work in a moment */
  char text[256];
} failure_t;

/* Each answers false. */
bool failure_set(failure_t *failure, const char *error_code, const char *format, ...) MCP_PRINTF(3, 4);
bool failure_set_retry(failure_t *failure, const char *error_code, const char *format, ...) MCP_PRINTF(3, 4);
/* The database's; it is logged and counted. doing: "reading the catalogue". */
bool failure_from_store(horace_t *horace, failure_t *failure, int code, const store_error_t *error,
                        const char *doing);
/* The disk's: code is -errno; it is logged. */
bool failure_from_disk(failure_t *failure, int code, const char *doing);

#endif
