/* conversations_test.c: see conversations_test.h. */
#include "conversations_test.h"

#include <string.h>

void id_of(int n, char id[MCP_UUID_SIZE]) {
  snprintf(id, MCP_UUID_SIZE, "00000000-0000-4000-9000-%012d", n);
}

int begin_in(int n, const char *session) {
  conversation_t conversation = {.created_at = time_of(n), .updated_at = time_of(n)};
  id_of(n, conversation.id);
  if (session != NULL)
    conversation.session_id = text(session);
  return test_store->add(test_store, &conversation, true, NULL, NULL, NULL, &test_error);
}

int next_message(message_t *message, void *arg) {
  static _Thread_local char words[32];
  source_t *source = arg;
  if (source->fail_at != 0 && source->given == source->fail_at)
    return -1;
  if (source->given == source->count)
    return 0;
  int n = source->first + source->given++;
  snprintf(words, sizeof words, "message %d", n);
  *message = (message_t){
      .turn = source->turn, .role = n % STORE_ROLES, .content = text(words), .created_at = time_of(n)};
  snprintf(message->id, sizeof message->id, "00000000-0000-4000-a000-%012d", n);
  return 1;
}

int add_to(int n, source_t source, int64_t *turn) {
  conversation_t conversation = {.updated_at = time_of(1000 + n)};
  id_of(n, conversation.id);
  return test_store->add(test_store, &conversation, false, next_message, &source, turn, &test_error);
}

char read_text[1024];
conversation_t read_conversation;

static bool on_conversation(const conversation_t *row, void *arg) {
  read_conversation = *row;
  return arg == NULL;
}

static bool on_message(const message_t *row, void *arg) {
  size_t used = strlen(read_text);
  (void)arg;
  snprintf(read_text + used, sizeof read_text - used, "%s%lld:%.*s", used > 0 ? " " : "",
           (long long)row->turn, (int)row->content.len, row->content.ptr);
  return true;
}

int read_back(int n) {
  char id[MCP_UUID_SIZE];
  id_of(n, id);
  read_text[0] = '\0';
  return test_store->get(test_store, id, never, on_conversation, on_message, NULL, &test_error);
}
