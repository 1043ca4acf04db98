/* sqlite_conn.c: see sqlite_conn.h.
 *
 * Opening: set up the connection (WAL, synchronous=FULL: what was committed is on the disk), then, as the
 * writer, make the schema or bring it up to date in one transaction (sqlite_schema.c). Two programs may do
 * this at once: the second waits for the first and finds the work done. Fails on a file that cannot be opened
 * or written, that is no database, or that holds somebody else's tables or those of a newer Dewey: nothing in
 * it is touched then.
 *
 * After a failed statement SQLite's connection stays usable; what was begun is rolled back, and the next call
 * starts afresh, so that a full disk heals by itself once there is room. */
#include "sqlite_conn.h"
#include "json_contains.h"
#include "json_words.h"
#include "pool.h"
#include "sqlite_schema.h"

#include <stdlib.h>

enum {
  BUSY_MS = 5000, /* wait for other processes that write */
  WRITER_CACHE_KIB = 64 * 1024,
  READER_CACHE_KIB = 8 * 1024,
  OPS_BETWEEN_CHECKS = 20000 /* of SQLite's machine: about a millisecond */
};

/* What the text index gets of a line, and the same again to take it out: the first 64 KiB of its message, and
 * what its data holds. */
#define INDEXED "CAST(substr(CAST(message AS BLOB), 1, 65536) AS TEXT) || json_words(data)"
#define TAKE_OUT                                                                                             \
  "INSERT INTO logs_text(logs_text, rowid, message) SELECT 'delete', seq, " INDEXED " FROM logs WHERE seq "  \
  "IN "

/* The rows of one step of clearing: the same ones twice, as nothing else changes meanwhile. */
#define STEP                                                                                                 \
  "(SELECT seq FROM logs INDEXED BY logs_level"                                                              \
  " WHERE level = ?1 AND created_at < ?2 ORDER BY created_at, id LIMIT ?3)"
#define STEP_OF_COMPONENT                                                                                    \
  "(SELECT seq FROM logs INDEXED BY logs_component"                                                          \
  " WHERE component = ?4 AND level = ?1 AND created_at < ?2 ORDER BY created_at, id LIMIT ?3)"

/* Of a conversation's message: more text than this is found by its beginning. */
#define INDEXED_CONTENT "CAST(substr(CAST(content AS BLOB), 1, 262144) AS TEXT)"
#define CONVERSATION                                                                                         \
  "SELECT id, session_id, metadata, created_at, updated_at,"                                                 \
  " (SELECT count(*) FROM messages WHERE conversation = conversations.seq), seq FROM conversations "
#define IN_SESSION "INDEXED BY conversations_session WHERE session_id = ?1 "
#define A_PAGE ", id DESC LIMIT ?2 OFFSET ?3"

#define CONTEXT "SELECT id, name, content, is_active, created_at, updated_at FROM startup_contexts "
/* The messages that a search finds: words, from, to, session. */
#define FOUND                                                                                                \
  " FROM messages_text CROSS JOIN messages ON messages.seq = messages_text.rowid"                            \
  " CROSS JOIN conversations ON conversations.seq = messages.conversation"                                   \
  " WHERE messages_text MATCH ?1 AND messages.created_at BETWEEN ?2 AND ?3"                                  \
  " AND (?4 IS NULL OR conversations.session_id = ?4)"

static const char *const fixed_sql[SQL_STATEMENTS] = {
    [SQL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [SQL_BEGIN_READ] = "BEGIN",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_INSERT] = "INSERT INTO logs(id, created_at, level, component, message, trace_id, data)"
                   " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT(id, created_at) DO NOTHING",
    [SQL_LAST] = "SELECT max(seq) FROM logs",
    [SQL_INDEX] = "INSERT INTO logs_text(rowid, message) SELECT seq, " INDEXED " FROM logs WHERE seq > ?1",
    [SQL_FETCH] = "SELECT id, created_at, level, component, message, trace_id, data FROM logs WHERE seq = ?1",
    [SQL_MATCHES] = "SELECT count(*) FROM (SELECT 1 FROM logs_text WHERE logs_text MATCH ?1 LIMIT ?2)",
    [SQL_TAKE_OUT] = TAKE_OUT STEP,
    [SQL_TAKE_OUT_OF_COMPONENT] = TAKE_OUT STEP_OF_COMPONENT,
    [SQL_CLEAR] = "DELETE FROM logs WHERE seq IN " STEP,
    [SQL_CLEAR_COMPONENT] = "DELETE FROM logs WHERE seq IN " STEP_OF_COMPONENT,
    [SQL_COUNTS] = "SELECT component, level, count(*) FROM logs INDEXED BY logs_component GROUP BY 1, 2",
    [SQL_RANGE] = "SELECT (SELECT min(created_at) FROM logs), (SELECT max(created_at) FROM logs)",
    [SQL_BYTES] = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
    [SQL_CONVERSATION_INSERT] = "INSERT INTO conversations(id, session_id, metadata, created_at, updated_at)"
                                " VALUES(?1, ?2, ?3, ?4, ?5)",
    [SQL_CONVERSATION_FIND] = "SELECT seq FROM conversations WHERE id = ?1",
    [SQL_CONVERSATION_FETCH] = CONVERSATION "WHERE id = ?1",
    [SQL_CONVERSATION_TOUCH] = "UPDATE conversations SET updated_at = max(updated_at, ?2) WHERE seq = ?1",
    [SQL_CONVERSATION_DELETE] = "DELETE FROM conversations WHERE seq = ?1",
    [SQL_MESSAGE_LAST_TURN] = "SELECT coalesce(max(turn), 0) FROM messages WHERE conversation = ?1",
    [SQL_MESSAGE_INSERT] = "INSERT INTO messages(id, conversation, turn, role, content, metadata, created_at)"
                           " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT(conversation, turn) DO NOTHING",
    [SQL_MESSAGE_INDEX] = "INSERT INTO messages_text(rowid, content) SELECT seq, " INDEXED_CONTENT
                          " FROM messages WHERE seq = ?1",
    [SQL_MESSAGES_FETCH] = "SELECT id, turn, role, content, metadata, created_at FROM messages"
                           " WHERE conversation = ?1 ORDER BY turn",
    [SQL_MESSAGES_TAKE_OUT] =
        "INSERT INTO messages_text(messages_text, rowid, content)"
        " SELECT 'delete', seq, " INDEXED_CONTENT " FROM messages WHERE conversation = ?1",
    [SQL_MESSAGES_DELETE] = "DELETE FROM messages WHERE conversation = ?1",
    [SQL_LIST_BY_CREATED] = CONVERSATION "ORDER BY created_at DESC" A_PAGE,
    [SQL_LIST_BY_UPDATED] = CONVERSATION "ORDER BY updated_at DESC" A_PAGE,
    [SQL_LIST_SESSION_BY_CREATED] = CONVERSATION IN_SESSION "ORDER BY created_at DESC" A_PAGE,
    [SQL_LIST_SESSION_BY_UPDATED] = CONVERSATION IN_SESSION "ORDER BY updated_at DESC" A_PAGE,
    [SQL_LIST_COUNT] = "SELECT count(*) FROM conversations",
    [SQL_LIST_SESSION_COUNT] = "SELECT count(*) FROM conversations WHERE session_id = ?1",
    [SQL_SEARCH] = "WITH found AS MATERIALIZED (SELECT messages.seq AS place, bm25(messages_text) AS score,"
                   " messages.created_at AS at, messages.id AS name" FOUND
                   " ORDER BY score, at DESC, name DESC LIMIT ?5 OFFSET ?6)"
                   " SELECT m.id, m.turn, m.role, m.content, m.metadata, m.created_at, c.id, c.session_id,"
                   " c.metadata, -score FROM found CROSS JOIN messages AS m ON m.seq = place"
                   " CROSS JOIN conversations AS c ON c.seq = m.conversation"
                   " ORDER BY score, at DESC, name DESC",
    [SQL_SEARCH_COUNT] = "SELECT count(*)" FOUND,
    [SQL_CONTEXT_DEACTIVATE] = "UPDATE startup_contexts SET is_active = 0 WHERE is_active",
    [SQL_CONTEXT_SET] = "INSERT INTO startup_contexts(id, name, content, is_active, created_at, updated_at)"
                        " VALUES(?1, ?2, ?3, ?4, ?5, ?5) ON CONFLICT(name) DO UPDATE SET content = ?3,"
                        " is_active = ?4, updated_at = ?5",
    [SQL_CONTEXT_FETCH] = CONTEXT "WHERE name = ?1",
    [SQL_CONTEXT_ACTIVE] = CONTEXT "WHERE is_active",
    [SQL_CONTEXT_LIST] = "SELECT id, name, CASE WHEN ?1 THEN content END, is_active, created_at, updated_at"
                         " FROM startup_contexts ORDER BY name",
    [SQL_CONTEXT_DELETE] = "DELETE FROM startup_contexts WHERE name = ?1",
};

/* ---- One connection ---- */

bool conn_must_end(conn_t *conn) {
  if (conn->stop.cb != NULL && conn->stop.cb(conn->stop.arg))
    conn->ended = STORE_STOPPED;
  else if (conn->deadline_ms != 0 && monotonic_ms() >= conn->deadline_ms)
    conn->ended = STORE_SLOW;
  return conn->ended != STORE_OK;
}

static int on_progress(void *arg) {
  return conn_must_end(arg);
}

/* json_contains(text, wanted): wanted is a yyjson_val * bound as a pointer. Text that is no JSON, or NULL,
 * contains nothing. SQLite's progress callback counts this function as one step, so it looks at the clock
 * itself. */
static void on_json_contains(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  if (conn_must_end(sqlite3_user_data(context))) {
    sqlite3_result_error_code(context, SQLITE_INTERRUPT);
    return;
  }
  const char *text = (const char *)sqlite3_value_text(values[0]);
  yyjson_val *wanted = sqlite3_value_pointer(values[1], "json");
  yyjson_doc *doc = text != NULL ? yyjson_read(text, (size_t)sqlite3_value_bytes(values[0]), 0) : NULL;
  sqlite3_result_int(context, doc != NULL && json_contains(yyjson_doc_get_root(doc), wanted));
  yyjson_doc_free(doc);
}

/* json_words(text): " word word", or "" where text is no JSON or NULL. */
static void on_json_words(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  char words[JSON_WORDS_BYTES] = "";
  const char *text = (const char *)sqlite3_value_text(values[0]);
  yyjson_doc *doc = text != NULL ? yyjson_read(text, (size_t)sqlite3_value_bytes(values[0]), 0) : NULL;
  if (doc != NULL)
    json_words(yyjson_doc_get_root(doc), words);
  yyjson_doc_free(doc);
  sqlite3_result_text(context, words, -1, SQLITE_TRANSIENT);
}

static int describe(conn_t *conn, const char *what, store_error_t *error) {
  sqlite3_snprintf(sizeof error->text, error->text, "%s: %s (%d)", what, sqlite3_errmsg(conn->db),
                   sqlite3_extended_errcode(conn->db));
  error->brief = sqlite3_errstr(sqlite3_errcode(conn->db));
  int code = sqlite3_errcode(conn->db);
  if (code == SQLITE_INTERRUPT && conn->ended != STORE_OK)
    return conn->ended;
  return code == SQLITE_BUSY || code == SQLITE_LOCKED ? STORE_BUSY : STORE_FAILED;
}

int conn_failed(conn_t *conn, const char *what, store_error_t *error) {
  int code = describe(conn, what, error);
  if (!sqlite3_get_autocommit(conn->db))
    conn_run(conn, SQL_ROLLBACK);
  return code;
}

sqlite3_stmt *conn_prepare(conn_t *conn, sqlite3_stmt **place, const char *sql) {
  if (*place == NULL)
    sqlite3_prepare_v3(conn->db, sql, -1, SQLITE_PREPARE_PERSISTENT, place, NULL);
  return *place;
}

sqlite3_stmt *conn_fixed(conn_t *conn, enum statement which) {
  return conn_prepare(conn, &conn->fixed[which], fixed_sql[which]);
}

void conn_done(sqlite3_stmt *statement) {
  if (statement == NULL)
    return;
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
}

int conn_run(conn_t *conn, enum statement which) {
  sqlite3_stmt *statement = conn_fixed(conn, which);
  if (statement == NULL)
    return sqlite3_errcode(conn->db);
  sqlite3_step(statement);
  return sqlite3_reset(statement);
}

int conn_each(conn_t *conn, sqlite3_stmt *statement, conn_row_cb cb, void *arg, const char *what,
              store_error_t *error) {
  int step = SQLITE_ERROR;
  enum row row = ROW_TAKEN;
  while (statement != NULL && row == ROW_TAKEN && (step = sqlite3_step(statement)) == SQLITE_ROW)
    row = cb(statement, arg);
  bool fine = row == ROW_LAST || (row == ROW_TAKEN && step == SQLITE_DONE);
  int code = fine ? STORE_OK : conn_failed(conn, what, error);
  conn_done(statement);
  return code;
}

static enum row on_no_row(sqlite3_stmt *statement, void *arg) {
  (void)statement, (void)arg;
  return ROW_TAKEN;
}

int conn_change(conn_t *conn, sqlite3_stmt *statement, const char *what, store_error_t *error) {
  return conn_each(conn, statement, on_no_row, NULL, what, error);
}

int conn_roll_back(conn_t *conn, int code, const char *reason, store_error_t *error) {
  sqlite3_snprintf(sizeof error->text, error->text, "%s", reason);
  conn_run(conn, SQL_ROLLBACK);
  return code;
}

/* ---- Values ---- */

void bind_id(sqlite3_stmt *statement, int place, const char *id) {
  unsigned char bytes[ID_BYTES];
  id_to_bytes(id, bytes);
  sqlite3_bind_blob(statement, place, bytes, sizeof bytes, SQLITE_TRANSIENT);
}

bool column_id(sqlite3_stmt *statement, int column, char id[MCP_UUID_SIZE]) {
  const unsigned char *bytes = sqlite3_column_blob(statement, column);
  if (sqlite3_column_bytes(statement, column) != ID_BYTES)
    return false;
  id_from_bytes(bytes, id);
  return true;
}

void bind_text(sqlite3_stmt *statement, int place, text_t text) {
  if (text.ptr != NULL)
    sqlite3_bind_text64(statement, place, text.ptr, text.len, SQLITE_STATIC, SQLITE_UTF8);
}

text_t column_text(sqlite3_stmt *statement, int column) {
  const char *ptr = (const char *)sqlite3_column_text(statement, column);
  return (text_t){ptr, (size_t)sqlite3_column_bytes(statement, column)};
}

/* ---- Opening ---- */

/* Turning WAL on does not wait for others that do the same just now: try until they are through. */
static int turn_wal_on(conn_t *conn) {
  int64_t deadline_ms = monotonic_ms() + BUSY_MS;
  int code;
  while ((code = sqlite3_exec(conn->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL)) == SQLITE_BUSY &&
         monotonic_ms() < deadline_ms)
    sqlite3_sleep(10);
  return code;
}

int conn_touch(conn_t *conn) {
  char sql[64];
  sqlite3_snprintf(sizeof sql, sql, "PRAGMA application_id = %d", SCHEMA_APPLICATION_ID);
  return sqlite3_exec(conn->db, sql, NULL, NULL, NULL);
}

static int open_schema(conn_t *conn, store_error_t *error) {
  const char *refused = NULL;
  if (conn_run(conn, SQL_BEGIN_WRITE) != SQLITE_OK)
    return conn_failed(conn, "preparing the database", error);
  if (schema_make(conn->db, &refused) == SQLITE_OK && conn_run(conn, SQL_COMMIT) == SQLITE_OK)
    return turn_wal_on(conn) == SQLITE_OK ? STORE_OK : conn_failed(conn, "turning WAL on", error);
  int code = conn_failed(conn, "preparing the database", error);
  if (refused != NULL)
    sqlite3_snprintf(sizeof error->text, error->text, "%s", refused);
  return code;
}

static int set_up(conn_t *conn, bool write, store_error_t *error) {
  char settings[256];
  sqlite3_snprintf(sizeof settings, settings,
                   "PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA secure_delete = FAST;"
                   "PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864;"
                   "PRAGMA cache_size = -%d; PRAGMA query_only = %d;",
                   write ? WRITER_CACHE_KIB : READER_CACHE_KIB, !write);
  sqlite3_busy_timeout(conn->db, BUSY_MS);
  if (sqlite3_exec(conn->db, settings, NULL, NULL, NULL) != SQLITE_OK)
    return conn_failed(conn, "setting the connection up", error);
  const int flags = SQLITE_UTF8 | SQLITE_DIRECTONLY;
  if (sqlite3_create_function(conn->db, "json_contains", 2, flags, conn, on_json_contains, NULL, NULL) !=
          SQLITE_OK ||
      sqlite3_create_function(conn->db, "json_words", 1, flags | SQLITE_DETERMINISTIC, NULL, on_json_words,
                              NULL, NULL) != SQLITE_OK)
    return conn_failed(conn, "setting the connection up", error);
  sqlite3_progress_handler(conn->db, OPS_BETWEEN_CHECKS, on_progress, conn);
  return write ? open_schema(conn, error) : STORE_OK;
}

conn_t *conn_open(const char *path, bool write, store_error_t *error) {
  conn_t *conn = calloc(1, sizeof *conn);
  if (conn == NULL) {
    sqlite3_snprintf(sizeof error->text, error->text, "no memory");
    return NULL;
  }
  int flags = SQLITE_OPEN_READWRITE | (write ? SQLITE_OPEN_CREATE : 0) | SQLITE_OPEN_NOMUTEX;
  int code = sqlite3_open_v2(path, &conn->db, flags, NULL);
  if (code != SQLITE_OK)
    describe(conn, "opening the database", error);
  else
    code = set_up(conn, write, error);
  if (code == STORE_OK)
    return conn;
  conn_close(conn);
  return NULL;
}

void conn_close(conn_t *conn) {
  if (conn == NULL)
    return;
  for (int i = 0; i < SQL_STATEMENTS; i++)
    sqlite3_finalize(conn->fixed[i]);
  for (int i = 0; i < PICK_SHAPES; i++)
    sqlite3_finalize(conn->picks[i]);
  sqlite3_close(conn->db);
  free(conn);
}
