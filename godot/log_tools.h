/* log_tools.h: the log tools: log entries into the queue, queries on to the store, and the components'
 * levels. */
#ifndef GODOT_LOG_TOOLS_H
#define GODOT_LOG_TOOLS_H

#include "redis_queue.h"

#include <iccm_network.h>
#include <uv.h>

/* What the tools work with; queue and store are borrowed, and set before the start. */
typedef struct log_tools {
  queue_t *queue;
  mcp_client_t *store;
  uv_prepare_t flush_prepare;       /* sends what one turn of the loop has gathered, before the loop waits */
  struct push_group *pending_group; /* ours; NULL: nothing */
  size_t unanswered_bytes;          /* sent to Redis or gathered */
  mcp_metric_t *entries;            /* the server's: what became of those that were sent to logger_log */
  mcp_metric_t *redacted;           /* how many members of these lost their values */
} log_tools_t;

/* Gives them to a server that has not started. Nonzero: no memory. */
int log_tools_start(log_tools_t *tools, uv_loop_t *loop, mcp_server_t *server);

/* What a client that declares iccm/log_level is told: the level of its component (the capability's own, else
 * the client's name), or null. For mcp_server_set_experimental_capability(), with tools as arg. */
yyjson_mut_doc *log_tools_level_notification(mcp_server_t *server, yyjson_val *initialize, void *arg);

/* Ends all that wait for Redis, once the server has stopped. */
void log_tools_close(log_tools_t *tools);

#endif
