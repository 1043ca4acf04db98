/* log.c: level filter in front of a hook, which is stderr unless somebody takes it.
 *
 * A line is made in a buffer on the stack and cut there; control characters become '?', so that nothing a peer
 * sent can forge a second line or drive a terminal. */
#include "iccm_network.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LINE_MAX_BYTES = 2048, LEVEL_UNSET = -1 };

static const char *const level_names[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR"};

static mcp_log_cb hook;
static void *hook_arg;
static atomic_int threshold = LEVEL_UNSET;

int mcp_log_level(const char *name) {
  for (int level = MCP_LOG_TRACE; name != NULL && level <= MCP_LOG_ERROR; level++)
    if (strcasecmp(name, level_names[level]) == 0)
      return level;
  return -1;
}

const char *mcp_log_level_name(int level) {
  return level >= MCP_LOG_TRACE && level <= MCP_LOG_ERROR ? level_names[level] : NULL;
}

void mcp_set_log(mcp_log_cb cb, int min_level, void *arg) {
  hook = cb;
  hook_arg = arg;
  atomic_store(&threshold, min_level);
}

static int current_threshold(void) {
  int level = atomic_load_explicit(&threshold, memory_order_relaxed);
  if (level != LEVEL_UNSET)
    return level;
  const char *name = getenv("LOG_LEVEL");
  level = mcp_log_level(name);
  if (level < 0) {
    level = MCP_LOG_INFO;
    if (name != NULL && *name != '\0')
      fprintf(stderr, "LOG_LEVEL is \"%.32s\": TRACE, DEBUG, INFO, WARN or ERROR is needed; taking INFO\n", name);
  }
  atomic_store(&threshold, level);
  return level;
}

static void to_stderr(int level, const char *part, const char *text) {
  char time[MCP_TIME_SIZE];
  mcp_time_format(mcp_time_now_us(), time);
  fprintf(stderr, "%s %-5s %s: %s\n", time, level_names[level], part, text); /* one write: stderr is locked */
}

void mcp_log(int level, const char *part, const char *format, ...) {
  if (level < current_threshold() || mcp_log_level_name(level) == NULL)
    return;
  char text[LINE_MAX_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  for (char *at = text; *at != '\0'; at++)
    if ((unsigned char)*at < 0x20 || *at == 0x7f)
      *at = '?';
  if (hook != NULL)
    hook(level, part, text, hook_arg);
  else
    to_stderr(level, part, text);
}
