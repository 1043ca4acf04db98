/* horace.h: the parts of a running Horace, and failures of its operations. */
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
  int versions;              /* number of versions kept of each file */
  clock_guard_t clock_guard; /* maintenance thread only */
  health_t health;
  metrics_t metrics;
} horace_t;

/* Why an operation has failed, for its caller. */
typedef struct failure {
  const char *error_code; /* such as "FILE_NOT_FOUND"; never freed */
  bool retry;             /* the request is valid; the caller may repeat it */
  char text[256];
} failure_t;

/* Each returns false. */
bool failure_set(failure_t *failure, const char *error_code, const char *format, ...) MCP_PRINTF(3, 4);
bool failure_set_retry(failure_t *failure, const char *error_code, const char *format, ...) MCP_PRINTF(3, 4);
/* For a store_code; logs and counts it. doing names the operation, such as "reading the catalogue". */
bool failure_from_store(horace_t *horace, failure_t *failure, int code, const store_error_t *error,
                        const char *doing);
/* For -errno; logs it. */
bool failure_from_disk(failure_t *failure, int code, const char *doing);

#endif
