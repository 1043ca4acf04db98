/* readiness.c: a short list under a mutex, because dependencies are set on any thread and read on the loop's
 * thread. */
#include "server/readiness.h"

#include <string.h>

struct mcp__dependency {
  mcp__dependency_t *next;
  char *name, *reason; /* reason NULL: available */
};

int mcp__readiness_init(mcp__readiness_t *readiness) {
  readiness->dependencies = NULL;
  return uv_mutex_init(&readiness->mutex);
}

void mcp__readiness_deinit(mcp__readiness_t *readiness) {
  mcp__dependency_t *next;
  for (mcp__dependency_t *at = readiness->dependencies; at != NULL; at = next) {
    next = at->next;
    mcp__free(at->name);
    mcp__free(at->reason);
    mcp__free(at);
  }
  uv_mutex_destroy(&readiness->mutex);
}

/* Returns NULL if out of memory. */
static mcp__dependency_t *find_or_add(mcp__readiness_t *readiness, const char *name) {
  mcp__dependency_t *found = readiness->dependencies;
  while (found != NULL && strcmp(found->name, name) != 0)
    found = found->next;
  if (found != NULL)
    return found;
  found = mcp__calloc(sizeof *found);
  if (found == NULL)
    return NULL;
  found->name = mcp__strdup(name);
  if (found->name == NULL) {
    mcp__free(found);
    return NULL;
  }
  found->next = readiness->dependencies;
  readiness->dependencies = found;
  return found;
}

int mcp__readiness_set(mcp__readiness_t *readiness, const char *name, const char *reason, bool *changed) {
  char *copy = reason != NULL ? mcp__strdup(reason) : NULL;
  if (reason != NULL && copy == NULL)
    return UV_ENOMEM;
  uv_mutex_lock(&readiness->mutex);
  mcp__dependency_t *dependency = find_or_add(readiness, name);
  char *before = copy; /* to be freed: the old value, or the new one on failure */
  if (dependency != NULL) {
    before = dependency->reason;
    dependency->reason = copy;
  }
  uv_mutex_unlock(&readiness->mutex);
  *changed = dependency != NULL && (before == NULL) != (reason == NULL);
  mcp__free(before);
  return dependency != NULL ? 0 : UV_ENOMEM;
}

bool mcp__readiness_write(mcp__readiness_t *readiness, mcp__buf_t *out) {
  bool ready = true;
  uv_mutex_lock(&readiness->mutex);
  for (const mcp__dependency_t *at = readiness->dependencies; at != NULL; at = at->next) {
    if (at->reason != NULL) {
      ready = false;
      mcp__buf_printf(out, "%s: %s\n", at->name, at->reason);
    }
  }
  uv_mutex_unlock(&readiness->mutex);
  return ready;
}
