/* conversations_test.h: numbered conversations for the tests of this directory. */
#ifndef CONVERSATIONS_TEST_H
#define CONVERSATIONS_TEST_H

#include "store_test.h"

void id_of(int n, char id[MCP_UUID_SIZE]);
int begin_in(int n, const char *session);

/* A source of messages with the given turn. */
typedef struct source {
  int first, count, given;
  int64_t turn; /* of all messages; 0: next */
  int fail_at;  /* returns -1 at this message; 0: never */
} source_t;

int next_message(message_t *message, void *arg);
int add_to(int n, source_t source, int64_t *turn);

/* The messages read: "turn:content ...". */
extern char read_text[1024];
extern conversation_t read_conversation;
int read_back(int n);

#endif
