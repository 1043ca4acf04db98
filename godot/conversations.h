/* conversations.h: the tools conversation_begin, conversation_store_message and
 * conversation_store_messages_bulk, which the store answers. */
#ifndef GODOT_CONVERSATIONS_H
#define GODOT_CONVERSATIONS_H

#include <iccm_network.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* What the tools work with. Client and texts are borrowed, and set before the tools are added. */
typedef struct conversations {
  mcp_client_t *store;
  mcp_sync_client_t *sync_store; /* for handlers that wait for the store's answer */
  const char *import_paths;      /* where messages_file may lie, as mcp_open_beneath() wants it */
  size_t max_message_bytes;      /* which is also what the store takes */
  atomic_bool store_is_up;       /* as far as is known */
  atomic_size_t file_bytes;      /* memory for files of messages, of all calls */
} conversations_t;

/* Gives them to a server that has not started. Nonzero: no memory. */
int conversations_add_tools(conversations_t *conversations, mcp_server_t *server);

#endif
