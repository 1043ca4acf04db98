/* trouble.c: how Horace's work fails; see horace.h. */
#include "horace.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

MCP_PRINTF(4, 0)
static void say(trouble_t *trouble, const char *error_code, bool retry, const char *format, va_list args) {
  vsnprintf(trouble->text, sizeof trouble->text, format, args);
  trouble->error_code = error_code;
  trouble->retry = retry;
}

bool trouble_say(trouble_t *trouble, const char *error_code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  say(trouble, error_code, false, format, args);
  va_end(args);
  return false;
}

bool trouble_retry(trouble_t *trouble, const char *error_code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  say(trouble, error_code, true, format, args);
  va_end(args);
  return false;
}

bool trouble_store(horace_t *horace, trouble_t *trouble, int code, const store_error_t *error,
                   const char *doing) {
  health_report(&horace->health, HEALTH_WRITING, code, error);
  if (code != STORE_STOPPED)
    mcp_log(MCP_LOG_ERROR, "store", "%s failed: %s", doing, error->text);
  if (code == STORE_REFUSED)
    return trouble_say(trouble, "INVALID_VALUE", "%s failed: the database cannot take a value that was given",
                       doing);
  if (code == STORE_SLOW)
    return trouble_say(trouble, "QUERY_TOO_SLOW", "%s took longer than %d s, ask for less", doing,
                       STORE_QUERY_MS / 1000);
  return trouble_retry(trouble, "STORE_UNAVAILABLE", "%s failed, retry", doing);
}

bool trouble_disk(trouble_t *trouble, int code, const char *doing) {
  if (code == -ECANCELED)
    return trouble_retry(trouble, "CANCELLED", "%s ended: nobody waits for it any more", doing);
  if (code == -EAGAIN)
    return trouble_retry(trouble, "FILE_BUSY", "the file is being written to, retry");
  mcp_log(MCP_LOG_ERROR, "storage", "%s failed: %s", doing, strerror(-code));
  if (code == -ENOSPC || code == -EDQUOT || code == -EFBIG)
    return trouble_retry(trouble, "STORAGE_FULL", "%s failed: there is no room left in the storage", doing);
  if (code == -ESTALE)
    return trouble_retry(trouble, "STORAGE_UNAVAILABLE", "%s failed: %s", doing, storage_words(code));
  return trouble_retry(trouble, "STORAGE_UNAVAILABLE", "%s failed, retry", doing);
}
