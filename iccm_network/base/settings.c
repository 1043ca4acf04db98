/* settings.c: see settings.h. */
#include "base/settings.h"

#include <stdatomic.h>
#include <stdlib.h>

static atomic_bool environment_ignored;

void mcp_ignore_environment(void) {
  atomic_store(&environment_ignored, true);
}

bool mcp__settings_enabled(void) {
  return !atomic_load(&environment_ignored);
}

const char *mcp__setting(const char *name) {
  const char *value = mcp__settings_enabled() ? getenv(name) : NULL;
  return value != NULL && *value != '\0' ? value : NULL;
}
