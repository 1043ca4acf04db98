/* horace.h: what all of Horace works with, and how its work fails. */
#ifndef HORACE_HORACE_H
#define HORACE_HORACE_H

#include "catalogue.h"
#include "clock_guard.h"
#include "figures.h"
#include "health.h"
#include "storage.h"
#include "turns.h"

typedef struct horace {
  storage_t storage;
  db_t *db;
  kinds_t kinds;
  turns_t turns;
  int versions;              /* how many of a file are kept */
  clock_guard_t clock_guard; /* the keeper's own */
  health_t health;
  figures_t figures;
} horace_t;

/* Why some work came to nothing, for its caller. */
typedef struct trouble {
  const char *error_code; /* "FILE_NOT_FOUND": never freed */
  bool retry;             /* nothing is wrong with what was asked: the same may work in a moment */
  char text[256];
} trouble_t;

/* Each answers false. */
bool trouble_say(trouble_t *trouble, const char *error_code, const char *format, ...) MCP_PRINTF(3, 4);
bool trouble_retry(trouble_t *trouble, const char *error_code, const char *format, ...) MCP_PRINTF(3, 4);
/* The database's; it is logged and counted. doing: "reading the catalogue". */
bool trouble_store(horace_t *horace, trouble_t *trouble, int code, const store_error_t *error,
                   const char *doing);
/* The disk's: code is -errno; it is logged. */
bool trouble_disk(trouble_t *trouble, int code, const char *doing);

#endif
