/* dead_letters.h: godot_dead_list, godot_dead_replay and godot_dead_discard, tools for whoever runs Godot. */
#ifndef GODOT_DEAD_LETTERS_H
#define GODOT_DEAD_LETTERS_H

#include "redis_queue.h"

#include <iccm_network.h>

typedef struct dead_letters {
  queue_t *queue;
  struct dead_letters_job *first, *last; /* calls, in the order of their next steps */
  bool step_pending;                     /* on the first's step */
} dead_letters_t;

/* Gives them to a server that has not started; dead and the queue are borrowed until both are freed. They are
 * not listed. Nonzero: no memory. */
int dead_letters_add_tools(dead_letters_t *dead, mcp_server_t *server, queue_t *queue);

#endif
