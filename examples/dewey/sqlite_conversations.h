/* sqlite_conversations.h: the conversations of the store on SQLite; store_t says what each function does. */
#ifndef DEWEY_SQLITE_CONVERSATIONS_H
#define DEWEY_SQLITE_CONVERSATIONS_H

#include "sqlite_plan.h"

int conversation_add(store_t *store, const conversation_t *conversation, bool begin, store_source_cb source,
                     void *arg, int64_t *last_turn, store_error_t *error);
int conversation_get(store_t *store, const char *id, store_stop_t stop, store_conversation_cb on_conversation,
                     store_message_cb on_message, void *arg, store_error_t *error);
int conversation_list(store_t *store, const conversation_page_t *page, store_stop_t stop,
                      store_conversation_cb cb, void *arg, int64_t *total, store_error_t *error);
int conversation_search(store_t *store, const message_search_t *search, store_stop_t stop, store_found_cb cb,
                        void *arg, int64_t *total, store_error_t *error);
int conversation_remove(store_t *store, const char *id, int64_t *messages, store_error_t *error);

#endif
