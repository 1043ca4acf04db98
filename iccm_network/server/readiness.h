/* readiness.h: the named dependencies of a component and whether they are available. Thread-safe. */
#ifndef MCP_READINESS_H
#define MCP_READINESS_H

#include "base/buf.h"

#include <uv.h>

typedef struct mcp__dependency mcp__dependency_t;

typedef struct mcp__readiness {
  uv_mutex_t mutex; /* guards the list */
  mcp__dependency_t *dependencies;
} mcp__readiness_t;

int mcp__readiness_init(mcp__readiness_t *readiness); /* 0 or a libuv error */
void mcp__readiness_deinit(mcp__readiness_t *readiness);

/* reason NULL: the dependency is available. *changed: its availability has changed. Returns 0 or UV_ENOMEM.
 */
int mcp__readiness_set(mcp__readiness_t *readiness, const char *name, const char *reason, bool *changed);

/* Writes a line for each unavailable dependency. Returns true if all are available. */
bool mcp__readiness_write(mcp__readiness_t *readiness, mcp__buf_t *out);

#endif
