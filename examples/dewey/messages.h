/* messages.h: a message between its JSON and the store. */
#ifndef DEWEY_MESSAGES_H
#define DEWEY_MESSAGES_H

#include "store.h"

enum { MESSAGE_MAX_BYTES = 16 * 1024 * 1024 }; /* content and metadata together */

/* A message on its way into the store. Its texts lie in the JSON it was read from, or in the blocks. */
typedef struct message_input {
  message_t message;
  char *content, *metadata; /* owned */
} message_input_t;

void message_deinit(message_input_t *in);

enum { MESSAGE_ACCEPTED, MESSAGE_TOO_LARGE, MESSAGE_NO_MEMORY };

/* A message of these, with an id of its own and no turn; metadata may be NULL. Whatever comes of it, the
 * message has to be deinited. */
int message_make(message_input_t *in, int role, yyjson_val *content, yyjson_val *metadata,
                 int64_t created_at);

/* The same from an entry of a list or of a session's file (an object): one with an object "message" is that
 * message, with the whole entry as its metadata; one with role and content is as it says, and what it holds
 * beside these goes to its metadata; anything else is a message of the system, its content the entry's type,
 * with the whole entry as its metadata. A role that there is not becomes system, a content that is no text
 * becomes JSON. The message is as old as the entry's created_at or timestamp says, else from now. */
int message_from_entry(message_input_t *in, yyjson_val *entry, int64_t now_us);

/* The text of JSON to be stored, in *block, to be freed; NULL: missing. False: no memory. */
bool json_serialize(yyjson_val *value, char **block, mcp_text_t *text);

const char *message_role_name(int role);
int message_role_parse(mcp_text_t name); /* -1: none */

/* A row as the caller sees it, made in doc, and at most how many bytes it takes there. */
yyjson_mut_val *message_json(yyjson_mut_doc *doc, const message_t *row);
yyjson_mut_val *conversation_json(yyjson_mut_doc *doc, const conversation_t *row);
yyjson_mut_val *found_json(yyjson_mut_doc *doc, const found_message_t *row);
size_t message_wire_bytes(const message_t *row);
size_t conversation_wire_bytes(const conversation_t *row);

#endif
