/* sqlite_contexts.h: the startup contexts of the store on SQLite; store_t says what each function does. */
#ifndef DEWEY_SQLITE_CONTEXTS_H
#define DEWEY_SQLITE_CONTEXTS_H

#include "sqlite_plan.h"

int context_set(store_t *store, const startup_context_t *context, store_context_cb cb, void *arg,
                store_error_t *error);
int context_get(store_t *store, text_t name, store_context_cb cb, void *arg, store_error_t *error);
int context_list(store_t *store, bool with_content, store_stop_t stop, store_context_cb cb, void *arg,
                 store_error_t *error);
int context_remove(store_t *store, text_t name, store_error_t *error);

#endif
