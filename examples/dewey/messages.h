/* messages.h: messages between JSON and the store. */
#ifndef DEWEY_MESSAGES_H
#define DEWEY_MESSAGES_H

#include "store.h"

enum { MESSAGE_MAX_BYTES = 16 * 1024 * 1024 }; /* content and metadata together */

/* A message to be stored. Its texts point into the JSON it was read from, or into the blocks. */
typedef struct message_input {
  message_t message;
  char *content, *metadata; /* owned */
} message_input_t;

void message_deinit(message_input_t *in);

enum { MESSAGE_ACCEPTED, MESSAGE_TOO_LARGE, MESSAGE_NO_MEMORY };

/* Makes a message with a new id and without a turn; metadata may be NULL. Call message_deinit whatever the
 * result. */
int message_make(message_input_t *in, int role, yyjson_val *content, yyjson_val *metadata,
                 int64_t created_at);

/* Makes a message from an entry of a list or of a session's file (an object). An entry with an object
 * "message" becomes that message, with the whole entry as metadata. An entry with role and content becomes
 * these; its other members are added to the metadata. Any other entry becomes a system message with the
 * entry's type as content and the whole entry as metadata. An unknown role becomes system; a content that
 * is not a text becomes JSON. The time is the entry's created_at or timestamp, else now_us. */
int message_from_entry(message_input_t *in, yyjson_val *entry, int64_t now_us);

/* Serialises a value into *block, to be freed; *text is missing for null. Returns false if out of memory. */
bool json_serialize(yyjson_val *value, char **block, mcp_text_t *text);

const char *message_role_name(int role);
int message_role_parse(mcp_text_t name); /* -1: unknown */

/* Create rows of responses in doc; the _wire_bytes functions return an upper limit of their size. */
yyjson_mut_val *message_json(yyjson_mut_doc *doc, const message_t *row);
yyjson_mut_val *conversation_json(yyjson_mut_doc *doc, const conversation_t *row);
yyjson_mut_val *found_json(yyjson_mut_doc *doc, const found_message_t *row);
size_t message_wire_bytes(const message_t *row);
size_t conversation_wire_bytes(const conversation_t *row);

#endif
