/* sqlite_statements.c: see sqlite_statements.h. */
#include "sqlite_statements.h"
#include "db_sqlite.h"
#include "json_contains.h"
#include "json_terms.h"
#include "sqlite_schema.h"
#include "words.h"

#include <stdlib.h>

#define TEXT_OF(number) #number
#define DIGITS(number) TEXT_OF(number)

/* The indexed text of a line, also for removing it from the index: the words of its message and the terms
 * of its data. Rows of the older index (sqlite_words.h) stay there until it is dropped. */
#define INDEXED "words(message, " DIGITS(WORDS_LINE_MAX_CHARS) ") || json_words(data)"
#define OLD_LINES "(SELECT old_lines FROM words_state)"
#define OLD_MESSAGES "(SELECT old_messages FROM words_state)"
#define UNINDEX                                                                                              \
  "INSERT INTO logs_words(logs_words, rowid, words) SELECT 'delete', seq, " INDEXED                          \
  " FROM logs WHERE seq > " OLD_LINES " AND seq IN "

/* The lines with the words ?7; ?11 is for the older index. */
#define ARRIVED(has_words)                                                                                   \
  "SELECT id, created_at, level, component, message, trace_id, data, seq FROM logs NOT INDEXED"              \
  " WHERE seq > ?1 AND created_at BETWEEN ?2 AND ?3 AND level >= ?4"                                         \
  " AND (?5 IS NULL OR component = ?5) AND (?6 IS NULL OR trace_id = ?6)"                                    \
  " AND (?7 IS NULL OR " has_words ")"                                                                       \
  " AND (?8 = 0 OR json_contains(data, ?9)) ORDER BY seq LIMIT ?10"
#define HAS_WORDS "EXISTS(SELECT 1 FROM logs_words WHERE logs_words MATCH ?7 AND rowid = seq)"
#define HAS_OLD_WORDS                                                                                        \
  "(seq <= " OLD_LINES " AND EXISTS(SELECT 1 FROM logs_text WHERE logs_text MATCH ?11 AND rowid = seq))"

#define HIGHEST_SEQ "(SELECT coalesce(max(seq), 0) FROM logs)"

/* The rows of one step of clearing. Both statements see the same rows, as nothing changes in between. */
#define TO_CLEAR " FROM logs INDEXED BY logs_level WHERE level = ?1 AND created_at < ?2"
#define TO_CLEAR_OF_COMPONENT                                                                                \
  " FROM logs INDEXED BY logs_component WHERE component = ?4 AND level = ?1 AND created_at < ?2"
#define STEP "(SELECT seq" TO_CLEAR " ORDER BY created_at, id LIMIT ?3)"
#define STEP_OF_COMPONENT "(SELECT seq" TO_CLEAR_OF_COMPONENT " ORDER BY created_at, id LIMIT ?3)"

#define INDEXED_CONTENT "words(content, " DIGITS(WORDS_MESSAGE_MAX_CHARS) ")"
#define KEY "seq"
#define KEY_OF(id) "(SELECT seq FROM conversations WHERE id = " id ")"
#define MESSAGES_KEY "conversation"
#define TURN "turn"
#define ROLE "m.role"
#define ROLE_OF(number) number
#define JSON_OF(text) text
#define IN_SESSION "INDEXED BY conversations_session WHERE session_id = $1"
#define GIVEN_MESSAGES                                                                                       \
  "(SELECT $2 AS id, $3 AS turn, $4 AS role, $5 AS content, $6 AS metadata, $7 AS created_at) AS given"

/* The messages that match a search (word_search_t): $6 is for the new index, $7 for the older one. */
#define MATCHING(index, words, score)                                                                        \
  "SELECT rowid AS place" score(index) " FROM " #index " WHERE " #index " MATCH " words
#define SCORED(index) ", bm25(" #index ") AS score"
#define UNSCORED(index)
#define NEW_MATCHING(score) MATCHING(messages_words, "$6", score)
#define BOTH_MATCHING(score)                                                                                 \
  NEW_MATCHING(score) " UNION ALL " MATCHING(messages_text, "$7", score) " AND rowid <= " OLD_MESSAGES
#define FOUND(matching)                                                                                      \
  " FROM (" matching ") AS matching CROSS JOIN messages ON messages.seq = place"                             \
  " CROSS JOIN conversations ON conversations.seq = messages.conversation"                                   \
  " WHERE messages.created_at BETWEEN $1 AND $2 AND ($3 IS NULL OR conversations.session_id = $3)"
#define SEARCH(matching)                                                                                     \
  "WITH found AS MATERIALIZED (SELECT place, score, messages.created_at AS at, messages.id AS name" FOUND(   \
      matching) " ORDER BY score, at DESC, name DESC LIMIT $4 OFFSET $5)"                                    \
                " SELECT " MESSAGE ", " FOUND_CONVERSATION ", -score"                                        \
                " FROM found CROSS JOIN messages AS m ON m.seq = place"                                      \
                " CROSS JOIN conversations AS c ON c.seq = m.conversation ORDER BY score, at DESC, name "    \
                "DESC"

static const char *const fixed_sql[SQL_STATEMENTS] = {
#include "store_sql.inc"
    [SQL_INSERT] = "INSERT INTO logs(id, created_at, level, component, message, trace_id, data, seq)"
                   " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT(id, created_at) DO NOTHING",
    [SQL_LAST] = "SELECT max(highest_seq, " HIGHEST_SEQ ") FROM log_state",
    [SQL_TIME_OF] = "SELECT min(created_at) FROM logs WHERE id = ?1",
    [SQL_ARRIVED] = ARRIVED(HAS_WORDS),
    [SQL_ARRIVED_BOTH] = ARRIVED("(" HAS_WORDS " OR " HAS_OLD_WORDS ")"),
    [SQL_INDEX] = "INSERT INTO logs_words(rowid, words) SELECT seq, " INDEXED " FROM logs WHERE seq > ?1",
    [SQL_FETCH] = "SELECT id, created_at, level, component, message, trace_id, data FROM logs WHERE seq = ?1",
    [SQL_MATCHES] = "SELECT count(*) FROM (SELECT 1 FROM logs_words WHERE logs_words MATCH ?1 LIMIT ?2)",
    [SQL_MATCHES_BOTH] =
        "SELECT count(*) FROM (SELECT 1 FROM logs_words WHERE logs_words MATCH ?1 UNION ALL"
        " SELECT 1 FROM logs_text WHERE logs_text MATCH ?3 AND rowid <= " OLD_LINES " LIMIT ?2)",
    [SQL_UNINDEX] = UNINDEX STEP,
    [SQL_UNINDEX_COMPONENT] = UNINDEX STEP_OF_COMPONENT,
    [SQL_CLEAR] = "DELETE FROM logs WHERE seq IN " STEP,
    [SQL_CLEAR_COMPONENT] = "DELETE FROM logs WHERE seq IN " STEP_OF_COMPONENT,
    [SQL_CLEAR_COUNT] = "SELECT count(*)" TO_CLEAR,
    [SQL_CLEAR_COUNT_COMPONENT] = "SELECT count(*)" TO_CLEAR_OF_COMPONENT,
    [SQL_COUNTS] = "SELECT component, level, count(*) FROM logs INDEXED BY logs_component GROUP BY 1, 2",
    [SQL_RANGE] = "SELECT (SELECT min(created_at) FROM logs), (SELECT max(created_at) FROM logs)",
    [SQL_BYTES] = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
    [SQL_KEEP_HIGHEST] =
        "UPDATE log_state SET highest_seq = " HIGHEST_SEQ " WHERE highest_seq < " HIGHEST_SEQ,
    [SQL_RETENTION_AT] = "SELECT retention_at FROM log_state",
    [SQL_RETENTION_BEGIN] = "UPDATE log_state SET retention_at = ?1",
    [SQL_MESSAGES_ADD_WORDS] = "INSERT INTO messages_words(rowid, words) SELECT seq, " INDEXED_CONTENT
                               " FROM messages WHERE seq > (SELECT max(seq) FROM messages) - $1",
    [SQL_MESSAGES_REMOVE_WORDS] =
        "INSERT INTO messages_words(messages_words, rowid, words) SELECT 'delete', seq, " INDEXED_CONTENT
        " FROM messages WHERE " IN_CONVERSATION " AND seq > " OLD_MESSAGES,
    /* Row numbers of deleted messages are reused. */
    [SQL_MESSAGES_LEFT] = "UPDATE words_state SET old_messages = (SELECT coalesce(max(seq), 0) FROM messages)"
                          " WHERE old_messages > (SELECT coalesce(max(seq), 0) FROM messages)",
    [SQL_SEARCH] = SEARCH(NEW_MATCHING(SCORED)),
    [SQL_SEARCH_BOTH] = SEARCH(BOTH_MATCHING(SCORED)),
    [SQL_SEARCH_COUNT] = "SELECT count(*)" FOUND(NEW_MATCHING(UNSCORED)),
    [SQL_SEARCH_COUNT_BOTH] = "SELECT count(*)" FOUND(BOTH_MATCHING(UNSCORED)),
    [SQL_WORDS_STATE] = "SELECT old_lines, old_messages FROM words_state",
    [SQL_LINES_INDEX] = "INSERT INTO logs_words(rowid, words) SELECT seq, " INDEXED
                        " FROM logs WHERE seq > ?1 AND seq <= " OLD_LINES,
    [SQL_LINES_MOVED] = "UPDATE words_state SET old_lines = ?1",
    [SQL_MESSAGES_INDEX] = "INSERT INTO messages_words(rowid, words) SELECT seq, " INDEXED_CONTENT
                           " FROM messages WHERE seq > ?1 AND seq <= " OLD_MESSAGES,
    [SQL_MESSAGES_MOVED] = "UPDATE words_state SET old_messages = ?1",
};

/* ---- Functions ---- */

/* json_contains(text, wanted): wanted is a yyjson_val * bound as a pointer. Invalid JSON and NULL contain
 * nothing. SQLite's progress callback counts a call as one step, so the function checks the deadline
 * itself. */
static void on_json_contains(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  if (sqlite_conn_interrupted(sqlite3_user_data(context))) {
    sqlite3_result_error_code(context, SQLITE_INTERRUPT);
    return;
  }
  const char *text = (const char *)sqlite3_value_text(values[0]);
  yyjson_val *wanted = sqlite3_value_pointer(values[1], "json");
  yyjson_doc *doc = text != NULL ? mcp_json_read(text, (size_t)sqlite3_value_bytes(values[0])) : NULL;
  sqlite3_result_int(context, doc != NULL && json_contains(yyjson_doc_get_root(doc), wanted));
  yyjson_doc_free(doc);
}

/* json_words(text): the terms of JSON (json_terms.h), or "" for invalid JSON and NULL. */
static void on_json_terms(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  char words[JSON_TERMS_SIZE] = "";
  const char *text = (const char *)sqlite3_value_text(values[0]);
  yyjson_doc *doc = text != NULL ? mcp_json_read(text, (size_t)sqlite3_value_bytes(values[0])) : NULL;
  if (doc != NULL)
    json_terms(yyjson_doc_get_root(doc), words);
  yyjson_doc_free(doc);
  sqlite3_result_text(context, words, -1, SQLITE_TRANSIENT);
}

/* words(text, max): the plain text of words.h. */
static void on_words(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  const char *text = (const char *)sqlite3_value_text(values[0]);
  size_t len;
  char *plain = words_plain((mcp_text_t){text != NULL ? text : "", (size_t)sqlite3_value_bytes(values[0])},
                            (size_t)sqlite3_value_int(values[1]), &len);
  if (plain != NULL)
    sqlite3_result_text64(context, plain, len, free, SQLITE_UTF8);
  else
    sqlite3_result_error_nomem(context);
}

static int extend(sqlite3 *db, void *conn) {
  const int flags = SQLITE_UTF8 | SQLITE_DIRECTONLY, fixed = flags | SQLITE_DETERMINISTIC;
  int code = db_sqlite_extend(db, conn);
  if (code == SQLITE_OK)
    code = sqlite3_create_function(db, "json_contains", 2, flags, conn, on_json_contains, NULL, NULL);
  if (code == SQLITE_OK)
    code = sqlite3_create_function(db, "json_words", 1, fixed, NULL, on_json_terms, NULL, NULL);
  return code == SQLITE_OK ? sqlite3_create_function(db, "words", 2, fixed, NULL, on_words, NULL, NULL)
                           : code;
}

const sqlite_spec_t sqlite_spec = {.name = "Dewey",
                                   .application_id = 0x44657779, /* "Dewy" */
                                   .steps = sqlite_steps,
                                   .step_count = SQLITE_STEPS,
                                   .statements = fixed_sql,
                                   .statement_count = SQL_PICKS + SQLITE_PICK_SHAPES,
                                   .extend = extend};
