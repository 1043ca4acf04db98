/* sqlite_conversations.c: see sqlite_conversations.h.
 *
 * Writing: take the writer, one transaction for the whole; the source of messages is asked inside of it, so
 * that as many as there are need no memory at once. Reading: take a reader, one read transaction.
 *
 * Failures: whatever goes wrong rolls the transaction back, also that a conversation is not there, a turn is
 * taken, or the source says no. */
#include "sqlite_conversations.h"
#include "sqlite_words.h"

#include <stdlib.h>

static const char no_conversation[] = "there is no such conversation";

/* Runs a statement that answers nothing, and whose parameter is a row's number. */
static int run_on(conn_t *conn, enum statement which, int64_t seq, store_error_t *error) {
  sqlite3_stmt *statement = conn_fixed(conn, which);
  sqlite3_bind_int64(statement, 1, seq);
  return conn_change(conn, statement, "changing a conversation", error);
}

/* Takes the one number of a row. */
static enum row on_number(sqlite3_stmt *statement, void *arg) {
  *(int64_t *)arg = sqlite3_column_int64(statement, 0);
  return ROW_LAST;
}

/* ---- Storing ---- */

static int insert_conversation(conn_t *conn, const conversation_t *conversation, int64_t *seq,
                               store_error_t *error) {
  sqlite3_stmt *statement = conn_fixed(conn, SQL_CONVERSATION_INSERT);
  bind_id(statement, 1, conversation->id);
  bind_text(statement, 2, conversation->session_id);
  bind_text(statement, 3, conversation->metadata);
  sqlite3_bind_int64(statement, 4, conversation->created_at);
  sqlite3_bind_int64(statement, 5, conversation->updated_at);
  int code = conn_change(conn, statement, "beginning a conversation", error);
  *seq = sqlite3_last_insert_rowid(conn->db);
  return code;
}

static int find_conversation(conn_t *conn, const char *id, int64_t *seq, store_error_t *error) {
  sqlite3_stmt *statement = conn_fixed(conn, SQL_CONVERSATION_FIND);
  bind_id(statement, 1, id);
  *seq = 0;
  int code = conn_each(conn, statement, on_number, seq, "finding a conversation", error);
  return code == STORE_OK && *seq == 0 ? conn_roll_back(conn, STORE_NONE, no_conversation, error) : code;
}

static int find_last_turn(conn_t *conn, int64_t seq, int64_t *turn, store_error_t *error) {
  sqlite3_stmt *statement = conn_fixed(conn, SQL_MESSAGE_LAST_TURN);
  sqlite3_bind_int64(statement, 1, seq);
  return conn_each(conn, statement, on_number, turn, "finding the last turn", error);
}

static int insert_message(conn_t *conn, int64_t seq, const message_t *message, store_error_t *error) {
  sqlite3_stmt *statement = conn_fixed(conn, SQL_MESSAGE_INSERT);
  bind_id(statement, 1, message->id);
  sqlite3_bind_int64(statement, 2, seq);
  sqlite3_bind_int64(statement, 3, message->turn);
  sqlite3_bind_int(statement, 4, message->role);
  bind_text(statement, 5, message->content);
  bind_text(statement, 6, message->metadata);
  sqlite3_bind_int64(statement, 7, message->created_at);
  int code = conn_change(conn, statement, "storing a message", error);
  if (code != STORE_OK)
    return code;
  if (sqlite3_changes(conn->db) == 0)
    return conn_roll_back(conn, STORE_TAKEN, "the turn number is in use", error);
  return run_on(conn, SQL_MESSAGE_INDEX, sqlite3_last_insert_rowid(conn->db), error);
}

static int insert_messages(conn_t *conn, int64_t seq, store_source_cb source, void *arg, int64_t *turn,
                           store_error_t *error) {
  message_t message;
  int64_t last = 0;
  int code = find_last_turn(conn, seq, &last, error), given = 0;
  while (code == STORE_OK && (given = source(&message, arg)) > 0) {
    if (message.turn == 0)
      message.turn = last + 1;
    if (message.turn > TURN_MAX)
      return conn_roll_back(conn, STORE_TAKEN, "there is no turn number left", error);
    code = insert_message(conn, seq, &message, error);
    *turn = message.turn;
    last = message.turn > last ? message.turn : last;
  }
  if (code == STORE_OK && given < 0)
    return conn_roll_back(conn, STORE_STOPPED, "the messages ended early", error);
  return code;
}

static int touch(conn_t *conn, int64_t seq, int64_t now_us, store_error_t *error) {
  sqlite3_stmt *statement = conn_fixed(conn, SQL_CONVERSATION_TOUCH);
  sqlite3_bind_int64(statement, 2, now_us);
  return run_on(conn, SQL_CONVERSATION_TOUCH, seq, error);
}

static int add(conn_t *conn, const conversation_t *conversation, bool begin, store_source_cb source,
               void *arg, int64_t *last_turn, store_error_t *error) {
  int64_t seq = 0, turn = 0;
  if (conn_run(conn, CONN_BEGIN_WRITE) != SQLITE_OK)
    return conn_failed(conn, "beginning to store", error);
  int code = begin ? insert_conversation(conn, conversation, &seq, error)
                   : find_conversation(conn, conversation->id, &seq, error);
  if (code == STORE_OK && source != NULL)
    code = insert_messages(conn, seq, source, arg, &turn, error);
  if (code == STORE_OK && !begin)
    code = touch(conn, seq, conversation->updated_at, error);
  if (code == STORE_OK && conn_run(conn, CONN_COMMIT) != SQLITE_OK)
    code = conn_failed(conn, "committing", error);
  if (code == STORE_OK && last_turn != NULL)
    *last_turn = turn;
  return code;
}

int conversation_add(store_t *store, const conversation_t *conversation, bool begin, store_source_cb source,
                     void *arg, int64_t *last_turn, store_error_t *error) {
  sqlite_store_t *self = (sqlite_store_t *)store;
  int code;
  conn_t *conn = sqlite_writer(&self->pools, STORE_NEVER, &code, error);
  if (conn == NULL)
    return code;
  code = add(conn, conversation, begin, source, arg, last_turn, error);
  sqlite_give(&self->pools.writers, conn);
  return code;
}

/* ---- Reading ---- */

static bool read_conversation(sqlite3_stmt *statement, conversation_t *row) {
  *row = (conversation_t){.session_id = column_text(statement, 1),
                          .metadata = column_text(statement, 2),
                          .created_at = sqlite3_column_int64(statement, 3),
                          .updated_at = sqlite3_column_int64(statement, 4),
                          .messages = sqlite3_column_int64(statement, 5)};
  return column_id(statement, 0, row->id);
}

static bool read_message(sqlite3_stmt *statement, message_t *row) {
  *row = (message_t){.turn = sqlite3_column_int64(statement, 1),
                     .role = sqlite3_column_int(statement, 2),
                     .content = column_text(statement, 3),
                     .metadata = column_text(statement, 4),
                     .created_at = sqlite3_column_int64(statement, 5)};
  return column_id(statement, 0, row->id) && row->role >= 0 && row->role < MESSAGE_ROLES &&
         row->content.ptr != NULL;
}

/* Where rows go, and what was seen of them. */
typedef struct reading {
  store_conversation_cb on_conversation;
  store_message_cb on_message;
  store_found_cb on_found;
  void *arg;
  int64_t seq; /* of the conversation read last; 0: none */
  bool wanted; /* more rows are */
} reading_t;

static enum row on_conversation(sqlite3_stmt *statement, void *arg) {
  reading_t *reading = arg;
  conversation_t row;
  if (!read_conversation(statement, &row))
    return ROW_DAMAGED;
  reading->seq = sqlite3_column_int64(statement, 6);
  reading->wanted = reading->on_conversation(&row, reading->arg);
  return reading->wanted ? ROW_TAKEN : ROW_LAST;
}

static enum row on_message(sqlite3_stmt *statement, void *arg) {
  reading_t *reading = arg;
  message_t row;
  if (!read_message(statement, &row))
    return ROW_DAMAGED;
  return reading->on_message(&row, reading->arg) ? ROW_TAKEN : ROW_LAST;
}

static int give_conversation(conn_t *conn, const char *id, reading_t *reading, store_error_t *error) {
  sqlite3_stmt *statement = conn_fixed(conn, SQL_CONVERSATION_FETCH);
  bind_id(statement, 1, id);
  int code = conn_each(conn, statement, on_conversation, reading, "reading a conversation", error);
  return code == STORE_OK && reading->seq == 0 ? conn_roll_back(conn, STORE_NONE, no_conversation, error)
                                               : code;
}

static int give_messages(conn_t *conn, reading_t *reading, store_error_t *error) {
  sqlite3_stmt *statement = conn_fixed(conn, SQL_MESSAGES_FETCH);
  sqlite3_bind_int64(statement, 1, reading->seq);
  return conn_each(conn, statement, on_message, reading, "reading messages", error);
}

static int get(conn_t *conn, const char *id, reading_t *reading, store_error_t *error) {
  if (conn_run(conn, CONN_BEGIN_READ) != SQLITE_OK)
    return conn_failed(conn, "beginning to read", error);
  int code = give_conversation(conn, id, reading, error);
  if (code == STORE_OK && reading->wanted)
    code = give_messages(conn, reading, error);
  if (code == STORE_OK && conn_run(conn, CONN_COMMIT) != SQLITE_OK)
    code = conn_failed(conn, "ending to read", error);
  return code;
}

int conversation_get(store_t *store, const char *id, store_stop_t stop, store_conversation_cb cb,
                     store_message_cb message_cb, void *arg, store_error_t *error) {
  sqlite_store_t *self = (sqlite_store_t *)store;
  reading_t reading = {.on_conversation = cb, .on_message = message_cb, .arg = arg};
  conn_t *conn = sqlite_reader(&self->pools, stop, error);
  if (conn == NULL)
    return STORE_BUSY;
  int code = get(conn, id, &reading, error);
  sqlite_give(&self->pools.readers, conn);
  return code;
}

/* ---- Listing ---- */

static int give_page(conn_t *conn, const conversation_page_t *page, reading_t *reading,
                     store_error_t *error) {
  static const enum statement lists[2][2] = {{SQL_LIST_BY_CREATED, SQL_LIST_BY_UPDATED},
                                             {SQL_LIST_SESSION_BY_CREATED, SQL_LIST_SESSION_BY_UPDATED}};
  sqlite3_stmt *statement = conn_fixed(conn, lists[page->session_id.ptr != NULL][page->by_updated]);
  bind_text(statement, 1, page->session_id);
  sqlite3_bind_int64(statement, 2, page->limit);
  sqlite3_bind_int64(statement, 3, page->offset);
  return conn_each(conn, statement, on_conversation, reading, "listing conversations", error);
}

static int count_conversations(conn_t *conn, text_t session_id, int64_t *total, store_error_t *error) {
  sqlite3_stmt *statement =
      conn_fixed(conn, session_id.ptr != NULL ? SQL_LIST_SESSION_COUNT : SQL_LIST_COUNT);
  bind_text(statement, 1, session_id);
  return conn_each(conn, statement, on_number, total, "counting conversations", error);
}

int conversation_list(store_t *store, const conversation_page_t *page, store_stop_t stop,
                      store_conversation_cb cb, void *arg, int64_t *total, store_error_t *error) {
  sqlite_store_t *self = (sqlite_store_t *)store;
  reading_t reading = {.on_conversation = cb, .arg = arg};
  conn_t *conn = sqlite_reader(&self->pools, stop, error);
  if (conn == NULL)
    return STORE_BUSY;
  int code = STORE_OK;
  if (conn_run(conn, CONN_BEGIN_READ) != SQLITE_OK)
    code = conn_failed(conn, "beginning to list", error);
  if (code == STORE_OK)
    code = count_conversations(conn, page->session_id, total, error);
  if (code == STORE_OK)
    code = give_page(conn, page, &reading, error);
  if (code == STORE_OK && conn_run(conn, CONN_COMMIT) != SQLITE_OK)
    code = conn_failed(conn, "ending a list", error);
  sqlite_give(&self->pools.readers, conn);
  return code;
}

/* ---- Searching ---- */

static enum row on_found(sqlite3_stmt *statement, void *arg) {
  reading_t *reading = arg;
  found_message_t row = {.rank = sqlite3_column_double(statement, 9)};
  if (!read_message(statement, &row.message) || !column_id(statement, 6, row.conversation.id))
    return ROW_DAMAGED;
  row.conversation.session_id = column_text(statement, 7);
  row.conversation.metadata = column_text(statement, 8);
  return reading->on_found(&row, reading->arg) ? ROW_TAKEN : ROW_LAST;
}

/* A search while it runs. */
typedef struct search {
  const message_search_t *wanted;
  char *words, *old_words; /* as FTS5 reads them; owned */
  bool both;               /* the older index is to be searched, too */
} search_t;

/* Binds what both statements of a search have in common; the statement. */
static sqlite3_stmt *search_statement(conn_t *conn, enum statement which, const search_t *search) {
  sqlite3_stmt *statement = conn_fixed(conn, which);
  sqlite3_bind_text(statement, 1, search->words, -1, SQLITE_STATIC);
  sqlite3_bind_int64(statement, 2, search->wanted->start_us);
  sqlite3_bind_int64(statement, 3, search->wanted->end_us);
  bind_text(statement, 4, search->wanted->session_id);
  if (search->both)
    sqlite3_bind_text(statement, 7, search->old_words, -1, SQLITE_STATIC);
  return statement;
}

static int find(conn_t *conn, search_t *search, reading_t *reading, int64_t *total, store_error_t *error) {
  words_state_t state;
  if (conn_run(conn, CONN_BEGIN_READ) != SQLITE_OK)
    return conn_failed(conn, "beginning to search", error);
  int code = read_words_state(conn, &state, error);
  if (code != STORE_OK)
    return code;
  search->both = state.old_messages > 0;
  sqlite3_stmt *statement =
      search_statement(conn, search->both ? SQL_SEARCH_COUNT_BOTH : SQL_SEARCH_COUNT, search);
  code = conn_each(conn, statement, on_number, total, "counting what is found", error);
  if (code != STORE_OK)
    return code;
  statement = search_statement(conn, search->both ? SQL_SEARCH_BOTH : SQL_SEARCH, search);
  sqlite3_bind_int64(statement, 5, search->wanted->limit);
  sqlite3_bind_int64(statement, 6, search->wanted->offset);
  code = conn_each(conn, statement, on_found, reading, "searching", error);
  if (code == STORE_OK && conn_run(conn, CONN_COMMIT) != SQLITE_OK)
    code = conn_failed(conn, "ending a search", error);
  return code;
}

static int find_with(sqlite_store_t *self, search_t *search, store_stop_t stop, reading_t *reading,
                     int64_t *total, store_error_t *error) {
  if (search->words == NULL || search->old_words == NULL) {
    sqlite3_snprintf(sizeof error->text, error->text, "no memory for the search");
    error->brief = "out of memory";
    return STORE_FAILED;
  }
  conn_t *conn = sqlite_reader(&self->pools, stop, error);
  if (conn == NULL)
    return STORE_BUSY;
  int code = find(conn, search, reading, total, error);
  sqlite_give(&self->pools.readers, conn);
  return code;
}

int conversation_search(store_t *store, const message_search_t *wanted, store_stop_t stop, store_found_cb cb,
                        void *arg, int64_t *total, store_error_t *error) {
  reading_t reading = {.on_found = cb, .arg = arg};
  search_t search = {wanted, match_words(wanted->words), match_old_words(wanted->words), false};
  int code = find_with((sqlite_store_t *)store, &search, stop, &reading, total, error);
  free(search.words);
  free(search.old_words);
  return code;
}

/* ---- Deleting ---- */

static int delete_all(conn_t *conn, int64_t seq, int64_t *messages, store_error_t *error) {
  int code = run_on(conn, SQL_MESSAGES_TAKE_OUT, seq, error);
  if (code == STORE_OK)
    code = run_on(conn, SQL_MESSAGES_DELETE, seq, error);
  if (code == STORE_OK)
    *messages = sqlite3_changes(conn->db);
  if (code == STORE_OK)
    code = conn_change(conn, conn_fixed(conn, SQL_MESSAGES_LEFT), "changing a conversation", error);
  return code == STORE_OK ? run_on(conn, SQL_CONVERSATION_DELETE, seq, error) : code;
}

int conversation_remove(store_t *store, const char *id, int64_t *messages, store_error_t *error) {
  sqlite_store_t *self = (sqlite_store_t *)store;
  int code;
  conn_t *conn = sqlite_writer(&self->pools, STORE_NEVER, &code, error);
  if (conn == NULL)
    return code;
  int64_t seq = 0;
  code = STORE_OK;
  if (conn_run(conn, CONN_BEGIN_WRITE) != SQLITE_OK)
    code = conn_failed(conn, "beginning to delete", error);
  if (code == STORE_OK)
    code = find_conversation(conn, id, &seq, error);
  if (code == STORE_OK)
    code = delete_all(conn, seq, messages, error);
  if (code == STORE_OK && conn_run(conn, CONN_COMMIT) != SQLITE_OK)
    code = conn_failed(conn, "committing", error);
  sqlite_give(&self->pools.writers, conn);
  return code;
}
