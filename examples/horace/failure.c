/* failure.c: failures of Horace's operations; see horace.h. */
#include "horace.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

MCP_PRINTF(4, 0)
static void say(failure_t *failure, const char *error_code, bool retry, const char *format, va_list args) {
  vsnprintf(failure->text, sizeof failure->text, format, args);
  failure->error_code = error_code;
  failure->retry = retry;
}

bool failure_set(failure_t *failure, const char *error_code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  say(failure, error_code, false, format, args);
  va_end(args);
  return false;
}

bool failure_set_retry(failure_t *failure, const char *error_code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  say(failure, error_code, true, format, args);
  va_end(args);
  return false;
}

bool failure_from_store(horace_t *horace, failure_t *failure, int code, const store_error_t *error,
                        const char *doing) {
  health_report(&horace->health, HEALTH_WRITE, code, error);
  if (code != STORE_CANCELLED)
    mcp_log(MCP_LOG_ERROR, "store", "%s failed: %s", doing, error->text);
  if (code == STORE_INVALID)
    return failure_set(failure, "INVALID_VALUE", "%s failed: the database cannot store a given value", doing);
  if (code == STORE_TIMEOUT)
    return failure_set(failure, "QUERY_TOO_SLOW", "%s took longer than %d s; narrow the query", doing,
                       STORE_QUERY_TIMEOUT_MS / 1000);
  return failure_set_retry(failure, "STORE_UNAVAILABLE", "%s failed, retry", doing);
}

bool failure_from_disk(failure_t *failure, int code, const char *doing) {
  if (code == -ECANCELED)
    return failure_set_retry(failure, "CANCELLED", "%s was cancelled", doing);
  if (code == -EAGAIN)
    return failure_set_retry(failure, "FILE_BUSY", "the file is being written to, retry");
  mcp_log(MCP_LOG_ERROR, "storage", "%s failed: %s", doing, strerror(-code));
  if (code == -ENOSPC || code == -EDQUOT || code == -EFBIG)
    return failure_set_retry(failure, "STORAGE_FULL", "%s failed: the storage is full", doing);
  if (code == -ESTALE)
    return failure_set_retry(failure, "STORAGE_UNAVAILABLE", "%s failed: %s", doing, storage_strerror(code));
  return failure_set_retry(failure, "STORAGE_UNAVAILABLE", "%s failed, retry", doing);
}
