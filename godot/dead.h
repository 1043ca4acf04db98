/* dead.h: godot_dead_list, godot_dead_replay and godot_dead_discard, tools for whoever runs Godot. */
#ifndef GODOT_DEAD_H
#define GODOT_DEAD_H

#include "redis_queue.h"

#include <iccm_network.h>

/* Gives them to a server that has not started; the queue is borrowed until it is freed. They are not listed.
 * Nonzero: no memory. */
int dead_add_tools(mcp_server_t *server, queue_t *queue);

#endif
