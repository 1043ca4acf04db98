/* conversations.c: conversations and their messages, see store_db.h.
 *
 * Writing: one transaction, which updates the conversation's row first. The source is read within it, so
 * that the messages need not all fit in memory. Reading: one transaction with one snapshot.
 *
 * Failures: any failure rolls the transaction back; this includes a missing conversation, a turn in use,
 * and a source that ends early. */
#include "store_db.h"

#include <stdlib.h>

static const char conversation_not_found[] = "there is no such conversation";

static db_t *db_of(store_t *store) {
  return ((store_db_t *)store)->db;
}

/* Runs a statement without rows and with an id as parameter; changed may be NULL. */
static int run_on(db_conn_t *conn, int statement, const char *id, int64_t *changed, store_error_t *error) {
  db_params_t params = {.count = 0};
  db_add_id(&params, id);
  return db_exec(conn, statement, &params, NULL, NULL, changed, "changing a conversation", error);
}

/* ---- Storing ---- */

/* The messages that are being stored. */
typedef struct storing {
  store_source_cb source;
  void *arg;
  message_t message; /* the last one read */
  int64_t last_turn; /* the highest in the conversation */
  int64_t given;
  store_error_t *error;
} storing_t;

static void add_message(db_params_t *row, const message_t *message) {
  db_add_id(row, message->id);
  db_add_int(row, message->turn);
  db_add_int(row, message->role);
  db_add_text(row, message->content);
  db_add_text(row, message->metadata);
  db_add_time(row, message->created_at);
}

static int next_message(db_params_t *row, void *arg) {
  storing_t *storing = arg;
  message_t message;
  int given = storing->source(&message, storing->arg);
  if (given < 0)
    return -store_db_refuse(STORE_CANCELLED, "the messages ended early", storing->error);
  if (given == 0)
    return 0;
  if (message.turn == 0)
    message.turn = storing->last_turn + 1;
  if (message.turn > STORE_TURN_MAX)
    return -store_db_refuse(STORE_CONFLICT, "there is no turn number left", storing->error);
  if (message.turn > storing->last_turn)
    storing->last_turn = message.turn;
  storing->message = message;
  storing->given++;
  add_message(row, &storing->message);
  return 1;
}

static int insert_messages(db_conn_t *conn, const char *id, storing_t *storing, store_error_t *error) {
  db_params_t params = {.count = 0}, newest = {.count = 0};
  int64_t stored = 0;
  db_add_id(&params, id);
  int code = db_exec(conn, SQL_MESSAGES_LAST_TURN, &params, db_read_int, &storing->last_turn, NULL,
                     "finding the last turn", error);
  if (code == STORE_OK)
    code = db_exec_rows(conn, SQL_MESSAGES_INSERT, &params, next_message, storing, &stored,
                        "storing messages", error);
  if (code != STORE_OK)
    return code;
  if (stored != storing->given)
    return store_db_refuse(STORE_CONFLICT, "the turn number is in use", error);
  db_add_int(&newest, stored);
  return db_exec(conn, SQL_MESSAGES_ADD_WORDS, &newest, NULL, NULL, NULL, "indexing messages", error);
}

static int insert_conversation(db_conn_t *conn, const conversation_t *conversation, store_error_t *error) {
  db_params_t params = {.count = 0};
  db_add_id(&params, conversation->id);
  db_add_text(&params, conversation->session_id);
  db_add_text(&params, conversation->metadata);
  db_add_time(&params, conversation->created_at);
  db_add_time(&params, conversation->updated_at);
  return db_exec(conn, SQL_CONVERSATION_INSERT, &params, NULL, NULL, NULL, "beginning a conversation", error);
}

static int touch(db_conn_t *conn, const conversation_t *conversation, store_error_t *error) {
  db_params_t params = {.count = 0};
  int64_t found = 0;
  db_add_id(&params, conversation->id);
  db_add_time(&params, conversation->updated_at);
  int code =
      db_exec(conn, SQL_CONVERSATION_TOUCH, &params, NULL, NULL, &found, "changing a conversation", error);
  return code == STORE_OK && found == 0 ? store_db_refuse(STORE_NOT_FOUND, conversation_not_found, error)
                                        : code;
}

int conversation_add(store_t *store, const conversation_t *conversation, bool begin, store_source_cb source,
                     void *arg, int64_t *last_turn, store_error_t *error) {
  storing_t storing = {.source = source, .arg = arg, .error = error};
  int code;
  db_conn_t *conn = db_begin(db_of(store), DB_WRITE, CANCEL_NEVER, &code, error);
  if (conn == NULL)
    return code;
  code = begin ? insert_conversation(conn, conversation, error) : touch(conn, conversation, error);
  if (code == STORE_OK && source != NULL)
    code = insert_messages(conn, conversation->id, &storing, error);
  code = store_db_end(store, conn, code, error);
  if (code == STORE_OK && last_turn != NULL)
    *last_turn = storing.message.turn;
  return code;
}

/* ---- Reading ---- */

/* The caller's callbacks, and the state of reading. */
typedef struct reading {
  store_conversation_cb on_conversation;
  store_message_cb on_message;
  store_found_cb on_found;
  void *arg;
  bool found, wanted; /* conversation found; caller wants more rows */
} reading_t;

static bool on_conversation(const db_row_t *row, void *arg) {
  reading_t *reading = arg;
  conversation_t conversation = {.session_id = db_text(row, 1),
                                 .metadata = db_text(row, 2),
                                 .created_at = db_time(row, 3),
                                 .updated_at = db_time(row, 4),
                                 .messages = db_int(row, 5)};
  if (!db_id(row, 0, conversation.id))
    return db_reject_row(row);
  reading->found = true;
  reading->wanted = reading->on_conversation(&conversation, reading->arg);
  return reading->wanted;
}

static bool read_message(const db_row_t *row, message_t *message) {
  *message = (message_t){.turn = db_int(row, 1),
                         .role = (int)db_int(row, 2),
                         .content = db_text(row, 3),
                         .metadata = db_text(row, 4),
                         .created_at = db_time(row, 5)};
  return db_id(row, 0, message->id) && message->role >= 0 && message->role < STORE_ROLES &&
         message->content.ptr != NULL;
}

static bool on_message(const db_row_t *row, void *arg) {
  reading_t *reading = arg;
  message_t message;
  return read_message(row, &message) ? reading->on_message(&message, reading->arg) : db_reject_row(row);
}

int conversation_get(store_t *store, const char *id, cancel_token_t cancel, store_conversation_cb cb,
                     store_message_cb message_cb, void *arg, store_error_t *error) {
  reading_t reading = {.on_conversation = cb, .on_message = message_cb, .arg = arg};
  db_params_t params = {.count = 0};
  int code;
  db_conn_t *conn = db_begin(db_of(store), DB_READ, cancel, &code, error);
  if (conn == NULL)
    return code;
  db_add_id(&params, id);
  code = db_exec(conn, SQL_CONVERSATION_FETCH, &params, on_conversation, &reading, NULL,
                 "reading a conversation", error);
  if (code == STORE_OK && !reading.found)
    code = store_db_refuse(STORE_NOT_FOUND, conversation_not_found, error);
  if (code == STORE_OK && reading.wanted)
    code = db_exec(conn, SQL_MESSAGES_FETCH, &params, on_message, &reading, NULL, "reading messages", error);
  return db_end(conn, code, error);
}

/* ---- Listing ---- */

int conversation_list(store_t *store, const conversation_page_t *page, cancel_token_t cancel,
                      store_conversation_cb cb, void *arg, int64_t *total, store_error_t *error) {
  static const enum shared_statement counts[2] = {SQL_LIST_COUNT, SQL_LIST_SESSION_COUNT},
                                     lists[2][2] = {
                                         {SQL_LIST_BY_CREATED, SQL_LIST_BY_UPDATED},
                                         {SQL_LIST_SESSION_BY_CREATED, SQL_LIST_SESSION_BY_UPDATED}};
  reading_t reading = {.on_conversation = cb, .arg = arg};
  db_params_t params = {.count = 0};
  bool of_session = page->session_id.ptr != NULL;
  int code;
  db_conn_t *conn = db_begin(db_of(store), DB_READ, cancel, &code, error);
  if (conn == NULL)
    return code;
  db_add_text(&params, page->session_id);
  code =
      db_exec(conn, counts[of_session], &params, db_read_int, total, NULL, "counting conversations", error);
  db_add_int(&params, page->limit);
  db_add_int(&params, page->offset);
  if (code == STORE_OK)
    code = db_exec(conn, lists[of_session][page->by_updated], &params, on_conversation, &reading, NULL,
                   "listing conversations", error);
  return db_end(conn, code, error);
}

/* ---- Searching ---- */

static bool on_found(const db_row_t *row, void *arg) {
  reading_t *reading = arg;
  found_message_t found = {.rank = db_double(row, 9)};
  if (!read_message(row, &found.message) || !db_id(row, 6, found.conversation.id))
    return db_reject_row(row);
  found.conversation.session_id = db_text(row, 7);
  found.conversation.metadata = db_text(row, 8);
  return reading->on_found(&found, reading->arg);
}

static int find(db_conn_t *conn, const message_search_t *wanted, const word_search_t *words,
                reading_t *reading, int64_t *total, store_error_t *error) {
  db_params_t params = {.count = 0};
  db_add_time(&params, wanted->start_us);
  db_add_time(&params, wanted->end_us);
  db_add_text(&params, wanted->session_id);
  db_add_int(&params, wanted->limit);
  db_add_int(&params, wanted->offset);
  for (int i = 0; i < STORE_DB_WORD_TEXTS; i++)
    db_add_text(&params, words->texts[i]);
  int code = db_exec(conn, words->count, &params, db_read_int, total, NULL, "counting what is found", error);
  return code == STORE_OK ? db_exec(conn, words->find, &params, on_found, reading, NULL, "searching", error)
                          : code;
}

int conversation_search(store_t *store, const message_search_t *wanted, cancel_token_t cancel,
                        store_found_cb cb, void *arg, int64_t *total, store_error_t *error) {
  store_db_t *self = (store_db_t *)store;
  reading_t reading = {.on_found = cb, .arg = arg};
  word_search_t words = {.count = 0};
  int code;
  db_conn_t *conn = db_begin(self->db, DB_READ, cancel, &code, error);
  if (conn == NULL)
    return code;
  code = self->read_words(self, conn, wanted->words, &words, error);
  if (code == STORE_OK)
    code = find(conn, wanted, &words, &reading, total, error);
  for (int i = 0; i < STORE_DB_WORD_TEXTS; i++)
    free(words.owned[i]);
  return db_end(conn, code, error);
}

/* ---- Deleting ---- */

static int remove_all(db_conn_t *conn, const char *id, int64_t *messages, store_error_t *error) {
  int64_t found = 0;
  int code = run_on(conn, SQL_CONVERSATION_LOCK, id, &found, error);
  if (code == STORE_OK && found == 0)
    code = store_db_refuse(STORE_NOT_FOUND, conversation_not_found, error);
  if (code == STORE_OK)
    code = run_on(conn, SQL_MESSAGES_REMOVE_WORDS, id, NULL, error);
  if (code == STORE_OK)
    code = run_on(conn, SQL_MESSAGES_DELETE, id, messages, error);
  if (code == STORE_OK)
    code = db_exec(conn, SQL_MESSAGES_LEFT, NULL, NULL, NULL, NULL, "changing a conversation", error);
  return code == STORE_OK ? run_on(conn, SQL_CONVERSATION_DELETE, id, NULL, error) : code;
}

int conversation_remove(store_t *store, const char *id, int64_t *messages, store_error_t *error) {
  int code;
  db_conn_t *conn = db_begin(db_of(store), DB_WRITE, CANCEL_NEVER, &code, error);
  if (conn == NULL)
    return code;
  return store_db_end(store, conn, remove_all(conn, id, messages, error), error);
}
