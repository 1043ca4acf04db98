/* store_db.c: see store_db.h. */
#include "store_db.h"

#include <stdio.h>

void store_db_init(store_db_t *self, db_t *db, read_words_cb read_words) {
  self->db = db;
  self->read_words = read_words;
  self->store.add = conversation_add;
  self->store.get = conversation_get;
  self->store.list = conversation_list;
  self->store.remove = conversation_remove;
  self->store.search = conversation_search;
  self->store.set_context = context_set;
  self->store.get_context = context_get;
  self->store.list_contexts = context_list;
  self->store.remove_context = context_remove;
}

int store_db_end(store_t *store, db_conn_t *conn, int code, store_error_t *error) {
  code = db_end(conn, code, error);
  bool tells = code == STORE_NOT_FOUND || code == STORE_CONFLICT;
  int confirmed = tells ? db_confirm(((store_db_t *)store)->db, CANCEL_NEVER, error) : STORE_OK;
  return confirmed == STORE_OK ? code : confirmed;
}

int store_db_refuse(int code, const char *reason, store_error_t *error) {
  snprintf(error->text, sizeof error->text, "%s", reason);
  return code;
}
