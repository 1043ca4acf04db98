/* readiness.h: what a component depends on, by name, and whether it is available. Any thread. */
#ifndef MCP_READINESS_H
#define MCP_READINESS_H

#include "base/buf.h"

#include <uv.h>

typedef struct mcp__dependency mcp__dependency_t;

typedef struct mcp__readiness {
  uv_mutex_t mutex; /* guards what follows */
  mcp__dependency_t *dependencies;
} mcp__readiness_t;

int mcp__readiness_init(mcp__readiness_t *readiness); /* 0, or libuv's code */
void mcp__readiness_deinit(mcp__readiness_t *readiness);

/* reason NULL: it is available. *changed: it was not before, or it was. 0, UV_ENOMEM. */
int mcp__readiness_set(mcp__readiness_t *readiness, const char *name, const char *reason, bool *changed);

/* A line for each that is not available; true: all are. */
bool mcp__readiness_write(mcp__readiness_t *readiness, mcp__buf_t *out);

#endif
