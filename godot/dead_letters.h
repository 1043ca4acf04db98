/* dead_letters.h: godot_dead_list, godot_dead_replay and godot_dead_discard, tools for operators. */
#ifndef GODOT_DEAD_LETTERS_H
#define GODOT_DEAD_LETTERS_H

#include "redis_queue.h"

#include <iccm_network.h>

typedef struct dead_letters {
  queue_t *queue;
  struct dead_letters_job *first, *last; /* calls, in the order of their next steps */
  bool step_pending;                     /* the first job's step has no reply yet */
} dead_letters_t;

/* Adds the tools, unlisted, to a server that has not started. dead_letters and queue are borrowed until
 * server and queue are closed. Returns nonzero if out of memory. */
int dead_letters_add_tools(dead_letters_t *dead_letters, mcp_server_t *server, queue_t *queue);

#endif
