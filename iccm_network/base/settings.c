/* settings.c: see settings.h. */
#include "base/settings.h"

#include <stdatomic.h>
#include <stdlib.h>

static atomic_bool ignored;

void mcp_ignore_environment(void) {
  atomic_store(&ignored, true);
}

bool mcp__settings_read(void) {
  return !atomic_load(&ignored);
}

const char *mcp__setting(const char *name) {
  const char *value = mcp__settings_read() ? getenv(name) : NULL;
  return value != NULL && *value != '\0' ? value : NULL;
}
