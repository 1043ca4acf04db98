/* sqlite_plan.c: see sqlite_plan.h. */
#include "sqlite_plan.h"
#include "json_contains.h"
#include "json_words.h"
#include "sqlite_schema.h"

/* What the text index gets of a line, and the same again to take it out: the first 64 KiB of its message, and
 * what its data holds. */
#define INDEXED "CAST(substr(CAST(message AS BLOB), 1, 65536) AS TEXT) || json_words(data)"
#define TAKE_OUT                                                                                             \
  "INSERT INTO logs_text(logs_text, rowid, message) SELECT 'delete', seq, " INDEXED " FROM logs WHERE seq "  \
  "IN "

#define HIGHEST_SEQ "(SELECT coalesce(max(seq), 0) FROM logs)"

/* The rows of one step of clearing: the same ones twice, as nothing else changes meanwhile. */
#define TO_CLEAR " FROM logs INDEXED BY logs_level WHERE level = ?1 AND created_at < ?2"
#define TO_CLEAR_OF_COMPONENT                                                                                \
  " FROM logs INDEXED BY logs_component WHERE component = ?4 AND level = ?1 AND created_at < ?2"
#define STEP "(SELECT seq" TO_CLEAR " ORDER BY created_at, id LIMIT ?3)"
#define STEP_OF_COMPONENT "(SELECT seq" TO_CLEAR_OF_COMPONENT " ORDER BY created_at, id LIMIT ?3)"

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
    [SQL_INSERT] = "INSERT INTO logs(id, created_at, level, component, message, trace_id, data, seq)"
                   " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT(id, created_at) DO NOTHING",
    [SQL_LAST] = "SELECT max(highest_seq, " HIGHEST_SEQ ") FROM log_state",
    [SQL_TIME_OF] = "SELECT min(created_at) FROM logs WHERE id = ?1",
    [SQL_ARRIVED] =
        "SELECT id, created_at, level, component, message, trace_id, data, seq FROM logs NOT INDEXED"
        " WHERE seq > ?1 AND created_at BETWEEN ?2 AND ?3 AND level >= ?4"
        " AND (?5 IS NULL OR component = ?5) AND (?6 IS NULL OR trace_id = ?6)"
        " AND (?7 IS NULL OR EXISTS(SELECT 1 FROM logs_text WHERE logs_text MATCH ?7 AND rowid = seq))"
        " AND (?8 = 0 OR json_contains(data, ?9)) ORDER BY seq LIMIT ?10",
    [SQL_INDEX] = "INSERT INTO logs_text(rowid, message) SELECT seq, " INDEXED " FROM logs WHERE seq > ?1",
    [SQL_FETCH] = "SELECT id, created_at, level, component, message, trace_id, data FROM logs WHERE seq = ?1",
    [SQL_MATCHES] = "SELECT count(*) FROM (SELECT 1 FROM logs_text WHERE logs_text MATCH ?1 LIMIT ?2)",
    [SQL_TAKE_OUT] = TAKE_OUT STEP,
    [SQL_TAKE_OUT_OF_COMPONENT] = TAKE_OUT STEP_OF_COMPONENT,
    [SQL_CLEAR] = "DELETE FROM logs WHERE seq IN " STEP,
    [SQL_CLEAR_COMPONENT] = "DELETE FROM logs WHERE seq IN " STEP_OF_COMPONENT,
    [SQL_TO_CLEAR] = "SELECT count(*)" TO_CLEAR,
    [SQL_TO_CLEAR_COMPONENT] = "SELECT count(*)" TO_CLEAR_OF_COMPONENT,
    [SQL_COUNTS] = "SELECT component, level, count(*) FROM logs INDEXED BY logs_component GROUP BY 1, 2",
    [SQL_RANGE] = "SELECT (SELECT min(created_at) FROM logs), (SELECT max(created_at) FROM logs)",
    [SQL_BYTES] = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
    [SQL_KEEP_HIGHEST] =
        "UPDATE log_state SET highest_seq = " HIGHEST_SEQ " WHERE highest_seq < " HIGHEST_SEQ,
    [SQL_RETENTION_AT] = "SELECT retention_at FROM log_state",
    [SQL_RETENTION_BEGIN] = "UPDATE log_state SET retention_at = ?1",
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

/* ---- Functions ---- */

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
  yyjson_doc *doc = text != NULL ? mcp_json_read(text, (size_t)sqlite3_value_bytes(values[0])) : NULL;
  sqlite3_result_int(context, doc != NULL && json_contains(yyjson_doc_get_root(doc), wanted));
  yyjson_doc_free(doc);
}

/* json_words(text): " word word", or "" where text is no JSON or NULL. */
static void on_json_words(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  char words[JSON_WORDS_BYTES] = "";
  const char *text = (const char *)sqlite3_value_text(values[0]);
  yyjson_doc *doc = text != NULL ? mcp_json_read(text, (size_t)sqlite3_value_bytes(values[0])) : NULL;
  if (doc != NULL)
    json_words(yyjson_doc_get_root(doc), words);
  yyjson_doc_free(doc);
  sqlite3_result_text(context, words, -1, SQLITE_TRANSIENT);
}

static int extend(sqlite3 *db, void *conn) {
  const int flags = SQLITE_UTF8 | SQLITE_DIRECTONLY;
  int code = sqlite3_create_function(db, "json_contains", 2, flags, conn, on_json_contains, NULL, NULL);
  return code != SQLITE_OK ? code
                           : sqlite3_create_function(db, "json_words", 1, flags | SQLITE_DETERMINISTIC, NULL,
                                                     on_json_words, NULL, NULL);
}

const conn_plan_t sqlite_plan = {.name = "Dewey",
                                 .application_id = 0x44657779, /* "Dewy" */
                                 .steps = sqlite_steps,
                                 .step_count = SQLITE_STEPS,
                                 .statements = fixed_sql,
                                 .place_count = SQL_PICKS + PICK_SHAPES,
                                 .extend = extend};
