/* tools.h: Godot's tools. */
#ifndef GODOT_TOOLS_H
#define GODOT_TOOLS_H

#include "redis_queue.h"

#include <iccm_network.h>
#include <stdatomic.h>
#include <uv.h>

/* What the tools work with; everything is borrowed. */
typedef struct tools {
  queue_t *queue;
  mcp_client_t *store;
  const char *store_url;       /* for calls that have a connection of their own */
  const char *import_paths;    /* where messages_file may lie, as mcp_open_beneath() wants it */
  size_t max_message_bytes;    /* which is also what the store takes */
  atomic_bool store_is_up;     /* as far as is known */
  atomic_size_t reading_bytes; /* memory for files of messages, of all calls */
  uv_prepare_t flush;          /* sends what one turn of the loop has gathered, before the loop waits */
  struct group *gathered;      /* ours; NULL: nothing */
  size_t unanswered_bytes;     /* sent to Redis or gathered */
  mcp_metric_t *entries;       /* the server's: what became of those that were sent to logger_log */
  mcp_metric_t *redacted;      /* how many members of these lost their values */
} tools_t;

/* Their table, up to MCP_TOOL_END, with tools as arg. It lives until the next call. */
const mcp_tool_t *tools_table(tools_t *tools);

/* What a client that declares iccm/log_level is told: the level of its component (the capability's own, else
 * the client's name), or null. For mcp_server_set_notice(), with tools as arg. */
yyjson_mut_doc *tools_level_notice(mcp_server_t *server, yyjson_val *initialize, void *arg);

/* Once queue and store are set, before the first call. */
void tools_init(tools_t *tools, uv_loop_t *loop, mcp_server_t *server);

/* Ends all that wait for Redis, once the server has stopped. */
void tools_close(tools_t *tools);

#endif
