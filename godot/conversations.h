/* conversations.h: the tools conversation_begin, conversation_store_message and
 * conversation_store_messages_bulk, which call the store. */
#ifndef GODOT_CONVERSATIONS_H
#define GODOT_CONVERSATIONS_H

#include <iccm_network.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* The state of the tools. Clients and strings are borrowed; set them before adding the tools. */
typedef struct conversations {
  mcp_client_t *store;
  mcp_sync_client_t *sync_store; /* for blocking handlers */
  const char *import_paths;      /* directories for messages_file, as for mcp_open_beneath() */
  size_t max_message_bytes;      /* also the store's limit */
  atomic_bool store_is_up;       /* last known state */
  atomic_size_t file_bytes;      /* memory for message files, over all calls */
} conversations_t;

/* Adds the tools to a server that has not started. Returns nonzero if out of memory. */
int conversations_add_tools(conversations_t *conversations, mcp_server_t *server);

#endif
