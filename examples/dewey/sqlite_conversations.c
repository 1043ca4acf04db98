/* sqlite_conversations.c: see sqlite_conversations.h.
 *
 * Writing: take the writer, one transaction for the whole; the source of messages is asked inside of it, so
 * that as many as there are need no memory at once. Reading: take a reader, one read transaction.
 *
 * Failures: whatever goes wrong rolls the transaction back, also that a conversation is not there, a turn is
 * taken, or the source says no. */
#include "sqlite_conversations.h"

/* Ends a transaction that came to nothing, for a reason that is not SQLite's. */
static int roll_back(conn_t *conn, int code, const char *reason, store_error_t *error) {
  sqlite3_snprintf(sizeof error->text, error->text, "%s", reason);
  conn_run(conn, SQL_ROLLBACK);
  return code;
}

static void bind_id(sqlite3_stmt *statement, int place, const char *id) {
  unsigned char bytes[ID_BYTES];
  id_to_bytes(id, bytes);
  sqlite3_bind_blob(statement, place, bytes, sizeof bytes, SQLITE_TRANSIENT);
}

/* False: the row's id is none, as happens in damaged files. */
static bool column_id(sqlite3_stmt *statement, int column, char id[MCP_UUID_SIZE]) {
  const unsigned char *bytes = sqlite3_column_blob(statement, column);
  if (sqlite3_column_bytes(statement, column) != ID_BYTES)
    return false;
  id_from_bytes(bytes, id);
  return true;
}

/* Runs a statement that answers nothing, and whose parameter is a row's number. */
static int run_on(conn_t *conn, enum statement which, int64_t seq, store_error_t *error) {
  sqlite3_stmt *statement = conn_fixed(conn, which);
  sqlite3_bind_int64(statement, 1, seq);
  int code = statement != NULL && sqlite3_step(statement) == SQLITE_DONE
                 ? STORE_OK
                 : conn_failed(conn, "changing a conversation", error);
  conn_done(statement);
  return code;
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
  int code = statement != NULL && sqlite3_step(statement) == SQLITE_DONE
                 ? STORE_OK
                 : conn_failed(conn, "beginning a conversation", error);
  *seq = sqlite3_last_insert_rowid(conn->db);
  conn_done(statement);
  return code;
}

static int find_conversation(conn_t *conn, const char *id, int64_t *seq, store_error_t *error) {
  sqlite3_stmt *statement = conn_fixed(conn, SQL_CONVERSATION_FIND);
  bind_id(statement, 1, id);
  int step = statement != NULL ? sqlite3_step(statement) : SQLITE_ERROR, code = STORE_OK;
  if (step == SQLITE_ROW)
    *seq = sqlite3_column_int64(statement, 0);
  else if (step != SQLITE_DONE)
    code = conn_failed(conn, "finding a conversation", error);
  conn_done(statement);
  return step == SQLITE_DONE ? roll_back(conn, STORE_NONE, "there is no such conversation", error) : code;
}

static int find_last_turn(conn_t *conn, int64_t seq, int64_t *turn, store_error_t *error) {
  sqlite3_stmt *statement = conn_fixed(conn, SQL_MESSAGE_LAST_TURN);
  sqlite3_bind_int64(statement, 1, seq);
  int code = STORE_OK;
  if (statement != NULL && sqlite3_step(statement) == SQLITE_ROW)
    *turn = sqlite3_column_int64(statement, 0);
  else
    code = conn_failed(conn, "finding the last turn", error);
  conn_done(statement);
  return code;
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
  int code = STORE_OK;
  if (statement == NULL || sqlite3_step(statement) != SQLITE_DONE)
    code = conn_failed(conn, "storing a message", error);
  bool stored = code == STORE_OK && sqlite3_changes(conn->db) > 0;
  conn_done(statement);
  if (code == STORE_OK && !stored)
    return roll_back(conn, STORE_TAKEN, "the turn number is in use", error);
  return code == STORE_OK ? run_on(conn, SQL_MESSAGE_INDEX, sqlite3_last_insert_rowid(conn->db), error)
                          : code;
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
      return roll_back(conn, STORE_TAKEN, "there is no turn number left", error);
    code = insert_message(conn, seq, &message, error);
    *turn = message.turn;
    last = message.turn > last ? message.turn : last;
  }
  if (code == STORE_OK && given < 0)
    return roll_back(conn, STORE_STOPPED, "the messages ended early", error);
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
  if (conn_run(conn, SQL_BEGIN_WRITE) != SQLITE_OK)
    return conn_failed(conn, "beginning to store", error);
  int code = begin ? insert_conversation(conn, conversation, &seq, error)
                   : find_conversation(conn, conversation->id, &seq, error);
  if (code == STORE_OK && source != NULL)
    code = insert_messages(conn, seq, source, arg, &turn, error);
  if (code == STORE_OK && !begin)
    code = touch(conn, seq, conversation->updated_at, error);
  if (code == STORE_OK && conn_run(conn, SQL_COMMIT) != SQLITE_OK)
    code = conn_failed(conn, "committing", error);
  if (code == STORE_OK && last_turn != NULL)
    *last_turn = turn;
  return code;
}

int conversation_add(store_t *store, const conversation_t *conversation, bool begin, store_source_cb source,
                     void *arg, int64_t *last_turn, store_error_t *error) {
  sqlite_store_t *self = (sqlite_store_t *)store;
  conn_t *conn = sqlite_writer(self, error);
  if (conn == NULL)
    return STORE_BUSY;
  int code = add(conn, conversation, begin, source, arg, last_turn, error);
  pool_give(&self->writers, conn);
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

/* Gives the conversation of this id; *wanted: whether its messages are, too. */
static int give_conversation(conn_t *conn, const char *id, store_conversation_cb cb, void *arg, int64_t *seq,
                             bool *wanted, store_error_t *error) {
  sqlite3_stmt *statement = conn_fixed(conn, SQL_CONVERSATION_FETCH);
  bind_id(statement, 1, id);
  conversation_t row;
  int step = statement != NULL ? sqlite3_step(statement) : SQLITE_ERROR, code = STORE_OK;
  if (step == SQLITE_ROW && read_conversation(statement, &row)) {
    *seq = sqlite3_column_int64(statement, 6);
    *wanted = cb(&row, arg);
  } else if (step != SQLITE_DONE) {
    code = conn_failed(conn, "reading a conversation", error);
  }
  conn_done(statement);
  return step == SQLITE_DONE ? roll_back(conn, STORE_NONE, "there is no such conversation", error) : code;
}

static int give_messages(conn_t *conn, int64_t seq, store_message_cb cb, void *arg, store_error_t *error) {
  sqlite3_stmt *statement = conn_fixed(conn, SQL_MESSAGES_FETCH);
  sqlite3_bind_int64(statement, 1, seq);
  message_t row;
  int step = statement != NULL ? SQLITE_ROW : SQLITE_ERROR;
  bool whole = true, wanted = true;
  while (step == SQLITE_ROW && wanted && (step = sqlite3_step(statement)) == SQLITE_ROW) {
    whole = read_message(statement, &row);
    wanted = whole && cb(&row, arg);
  }
  bool fine = whole && (step == SQLITE_DONE || !wanted);
  int code = fine ? STORE_OK : conn_failed(conn, "reading messages", error);
  conn_done(statement);
  return code;
}

static int get(conn_t *conn, const char *id, store_conversation_cb on_conversation,
               store_message_cb on_message, void *arg, store_error_t *error) {
  int64_t seq = 0;
  bool wanted = false;
  if (conn_run(conn, SQL_BEGIN_READ) != SQLITE_OK)
    return conn_failed(conn, "beginning to read", error);
  int code = give_conversation(conn, id, on_conversation, arg, &seq, &wanted, error);
  if (code == STORE_OK && wanted)
    code = give_messages(conn, seq, on_message, arg, error);
  if (code == STORE_OK && conn_run(conn, SQL_COMMIT) != SQLITE_OK)
    code = conn_failed(conn, "ending to read", error);
  return code;
}

int conversation_get(store_t *store, const char *id, store_stop_t stop, store_conversation_cb on_conversation,
                     store_message_cb on_message, void *arg, store_error_t *error) {
  sqlite_store_t *self = (sqlite_store_t *)store;
  conn_t *conn = sqlite_reader(self, stop, error);
  if (conn == NULL)
    return STORE_BUSY;
  int code = get(conn, id, on_conversation, on_message, arg, error);
  pool_give(&self->readers, conn);
  return code;
}

static int give_page(conn_t *conn, const conversation_page_t *page, store_conversation_cb cb, void *arg,
                     store_error_t *error) {
  static const enum statement lists[2][2] = {{SQL_LIST_BY_CREATED, SQL_LIST_BY_UPDATED},
                                             {SQL_LIST_SESSION_BY_CREATED, SQL_LIST_SESSION_BY_UPDATED}};
  sqlite3_stmt *statement = conn_fixed(conn, lists[page->session_id.ptr != NULL][page->by_updated]);
  bind_text(statement, 1, page->session_id);
  sqlite3_bind_int64(statement, 2, page->limit);
  sqlite3_bind_int64(statement, 3, page->offset);
  conversation_t row;
  int step = statement != NULL ? SQLITE_ROW : SQLITE_ERROR;
  bool whole = true, wanted = true;
  while (step == SQLITE_ROW && wanted && (step = sqlite3_step(statement)) == SQLITE_ROW) {
    whole = read_conversation(statement, &row);
    wanted = whole && cb(&row, arg);
  }
  bool fine = whole && (step == SQLITE_DONE || !wanted);
  int code = fine ? STORE_OK : conn_failed(conn, "listing conversations", error);
  conn_done(statement);
  return code;
}

static int count_conversations(conn_t *conn, text_t session_id, int64_t *total, store_error_t *error) {
  sqlite3_stmt *statement =
      conn_fixed(conn, session_id.ptr != NULL ? SQL_LIST_SESSION_COUNT : SQL_LIST_COUNT);
  if (session_id.ptr != NULL)
    bind_text(statement, 1, session_id);
  int code = STORE_OK;
  if (statement != NULL && sqlite3_step(statement) == SQLITE_ROW)
    *total = sqlite3_column_int64(statement, 0);
  else
    code = conn_failed(conn, "counting conversations", error);
  conn_done(statement);
  return code;
}

int conversation_list(store_t *store, const conversation_page_t *page, store_stop_t stop,
                      store_conversation_cb cb, void *arg, int64_t *total, store_error_t *error) {
  sqlite_store_t *self = (sqlite_store_t *)store;
  conn_t *conn = sqlite_reader(self, stop, error);
  if (conn == NULL)
    return STORE_BUSY;
  int code = STORE_OK;
  if (conn_run(conn, SQL_BEGIN_READ) != SQLITE_OK)
    code = conn_failed(conn, "beginning to list", error);
  if (code == STORE_OK)
    code = count_conversations(conn, page->session_id, total, error);
  if (code == STORE_OK)
    code = give_page(conn, page, cb, arg, error);
  if (code == STORE_OK && conn_run(conn, SQL_COMMIT) != SQLITE_OK)
    code = conn_failed(conn, "ending a list", error);
  pool_give(&self->readers, conn);
  return code;
}

/* ---- Deleting ---- */

static int delete_all(conn_t *conn, int64_t seq, int64_t *messages, store_error_t *error) {
  int code = run_on(conn, SQL_MESSAGES_TAKE_OUT, seq, error);
  if (code == STORE_OK)
    code = run_on(conn, SQL_MESSAGES_DELETE, seq, error);
  if (code == STORE_OK)
    *messages = sqlite3_changes(conn->db);
  return code == STORE_OK ? run_on(conn, SQL_CONVERSATION_DELETE, seq, error) : code;
}

int conversation_remove(store_t *store, const char *id, int64_t *messages, store_error_t *error) {
  sqlite_store_t *self = (sqlite_store_t *)store;
  conn_t *conn = sqlite_writer(self, error);
  if (conn == NULL)
    return STORE_BUSY;
  int64_t seq = 0;
  int code = STORE_OK;
  if (conn_run(conn, SQL_BEGIN_WRITE) != SQLITE_OK)
    code = conn_failed(conn, "beginning to delete", error);
  if (code == STORE_OK)
    code = find_conversation(conn, id, &seq, error);
  if (code == STORE_OK)
    code = delete_all(conn, seq, messages, error);
  if (code == STORE_OK && conn_run(conn, SQL_COMMIT) != SQLITE_OK)
    code = conn_failed(conn, "committing", error);
  pool_give(&self->writers, conn);
  return code;
}
