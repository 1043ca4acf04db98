/* dead.h: godot_dead_list, godot_dead_replay and godot_dead_discard, tools for whoever runs Godot. */
#ifndef GODOT_DEAD_H
#define GODOT_DEAD_H

#include "redis_queue.h"

#include <iccm_network.h>

typedef struct dead {
  queue_t *queue;
  struct dead_job *first, *last; /* calls, in the order of their next steps */
  bool at_work;                  /* on the first's step */
} dead_t;

/* Gives them to a server that has not started; dead and the queue are borrowed until both are freed. They are
 * not listed. Nonzero: no memory. */
int dead_add_tools(dead_t *dead, mcp_server_t *server, queue_t *queue);

#endif
