/* log_tools.h: the log tools: they queue log entries, forward queries to the store, and set components'
 * levels. */
#ifndef GODOT_LOG_TOOLS_H
#define GODOT_LOG_TOOLS_H

#include "redis_queue.h"

#include <iccm_network.h>
#include <uv.h>

/* The state of the tools. queue and store are borrowed; set them before log_tools_start(). */
typedef struct log_tools {
  queue_t *queue;
  mcp_client_t *store;
  uv_prepare_t flush_prepare;       /* pushes the pending group before the loop blocks */
  struct push_group *pending_group; /* owned; NULL: none */
  size_t unanswered_bytes;          /* of entries that are pending or sent to Redis */
  mcp_metric_t *entries;            /* owned by the server: entries sent to logger_log, by outcome */
  mcp_metric_t *redacted;           /* owned by the server: redacted members of these */
} log_tools_t;

/* Adds the tools to a server that has not started. Returns nonzero if out of memory. */
int log_tools_start(log_tools_t *tools, uv_loop_t *loop, mcp_server_t *server);

/* Returns the notification for a client that declares iccm/log_level: the level of its component, or null.
 * The component is named by the capability, else by the client's name. For
 * mcp_server_set_experimental_capability(), with tools as arg. */
yyjson_mut_doc *log_tools_level_notification(mcp_server_t *server, yyjson_val *initialize, void *arg);

/* Pushes the pending group and stops; call after the server has stopped. */
void log_tools_close(log_tools_t *tools);

#endif
