/* modern.h: what is special about requests from 2026-07-28 on: their metadata, and the methods that older
 * versions do not have; pure. */
#ifndef MCP_MODERN_H
#define MCP_MODERN_H

#include "base/arena.h"
#include "base/buf.h"
#include "mcp/protocol_version.h"

#include <yyjson.h>

enum {
  MCP__LIST_TTL_MS = 60000, /* for which a client may keep tools/list and server/discover */
  MCP__SUBSCRIPTION_ID_MAX = 1024
};

/* What the metadata of a request says. */
typedef struct mcp__metadata {
  bool is_modern; /* else the request follows the version that was agreed on */
  int code;       /* 0, or why the request is refused, … */
  const char *problem;
  const char *data; /* … with this JSON text, in the arena; NULL: none */
  size_t data_len;
} mcp__metadata_t;

/* params may be NULL. is_required: the request has to be modern, as its HTTP header or its method says. */
void mcp__metadata_read(mcp__metadata_t *metadata, yyjson_val *params, bool is_required, mcp__arena_t *arena);

/* Writes the members that each result has: resultType and _meta, a comma in front. */
int mcp__modern_write_members(mcp__buf_t *out, const char *name, const char *version);

/* Writes the members that tools/list and server/discover have besides, a comma in front. */
int mcp__modern_write_caching(mcp__buf_t *out);

/* The result of server/discover up to what the two functions above write, without a closing brace, as JSON
 * text in the arena. capability: experimental; NULL: none. NULL: out of memory. */
const char *mcp__modern_discover(const char *capability, mcp__arena_t *arena, size_t *len);

/* What a capability's callback gets for a subscription: the same as params of initialize, as JSON text that
 * mcp__free() frees. NULL: out of memory. */
char *mcp__modern_initialize_params(yyjson_val *params);

#endif
