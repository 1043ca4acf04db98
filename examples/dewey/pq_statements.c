/* pq_statements.c: see pq_statements.h.
 *
 * A filter that is not used is null: PostgreSQL plans for the given values and removes conditions that a
 * null makes true, so one statement serves every combination of filters. */
#include "pq_statements.h"

/* The expressions of the indexes (pq_words.sql), verbatim, and the search in the form of pq_words.h: words
 * found by the index, then phrases compared in the rows found. Without coalesce() PostgreSQL would
 * estimate every phrase as rare. */
#define WORDS(text, words, phrases)                                                                          \
  "dewey_words(left(" text "))::tsvector @@ " words "::text::tsquery AND (" phrases "::text IS NULL"         \
  " OR coalesce(dewey_words(left(" text ")) LIKE ALL (string_to_array(" phrases ", E'\\n')), false))"
/* The same with the indexes of version 2, until those of words are built. */
#define OLD_WORDS(vector, words, phrases)                                                                    \
  vector " @@ dewey_query(" words "::text) AND " phrases "::text IS NULL"
#define LINE_WORDS WORDS("message, 65536", "$7", "$10")
#define OLD_LINE_WORDS OLD_WORDS("dewey_vector(left(message, 65536))", "$7", "$10")
#define MESSAGE_TEXT "m.content, 130000"
#define LEVEL_NAMES "'{TRACE,DEBUG,INFO,WARN,ERROR}'::text[]"
#define LOGS_INSERT(created_at, json, more_arrays, more_columns)                                             \
  "INSERT INTO logs(id, created_at, level, component, message, trace_id, data)"                              \
  " SELECT id, " created_at ", (" LEVEL_NAMES ")[level + 1], component, message, trace_id, " json            \
  " FROM unnest($1::uuid[], $2::timestamptz[], $3::bigint[], $4::text[], $5::text[], $6::text[],"            \
  " $7::text[]" more_arrays ") AS given(id, created_at, level, component, message, trace_id,"                \
  " data" more_columns ") ON CONFLICT DO NOTHING"
#define STORED_TIME                                                                                          \
  "CASE WHEN seek > 0 THEN coalesce((SELECT min(stored.created_at) FROM logs AS stored"                      \
  " WHERE stored.id = given.id), created_at) ELSE created_at END"
#define LOG_COLUMNS                                                                                          \
  "SELECT id, created_at, array_position(" LEVEL_NAMES ", level)::bigint - 1, component, message,"           \
  " trace_id, data"
/* $3 is the id of the position in the given order. */
#define LOGS_FILTER(words, times, order, place)                                                              \
  " FROM logs WHERE " times " AND ($3::uuid IS NULL OR (" order ", id) " place ")"                           \
  " AND ($4::text IS NULL OR (left(component, 256) = left($4, 256) AND component = $4))"                     \
  " AND ($5::text IS NULL OR trace_id = $5)"                                                                 \
  " AND ($6::bigint = 0 OR level = ANY((" LEVEL_NAMES ")[$6 + 1:]))"                                         \
  " AND ($7::text IS NULL OR (" words "))"                                                                   \
  " AND ($8::text IS NULL OR data @> dewey_json($8))"
#define BETWEEN_TIMES "created_at >= $1::timestamptz AND created_at <= $2::timestamptz"
/* Without limits the condition disappears, so that the plan uses the order of arrival alone. */
#define BETWEEN_TIMES_GIVEN                                                                                  \
  "($1::timestamptz = '-infinity' OR created_at >= $1) AND ($2::timestamptz = 'infinity' OR created_at <= "  \
  "$2)"
#define LOGS_TO_CLEAR                                                                                        \
  " FROM logs WHERE created_at < $1::timestamptz"                                                            \
  " AND ($2::text IS NULL OR (left(component, 256) = left($2, 256) AND component = $2))"                     \
  " AND ($3::bigint < 0 OR level = (" LEVEL_NAMES ")[$3 + 1])"
#define KEY "id"
#define KEY_OF(id) id
#define MESSAGES_KEY "conversation_id"
#define TURN "turn_number"
#define ROLE "array_position('{user,assistant,system,tool}'::text[], m.role) - 1"
#define ROLE_OF(number) "('{user,assistant,system,tool}'::text[])[" number " + 1]"
#define JSON_OF(text) "dewey_json(" text ")"
#define IN_SESSION "WHERE left(session_id, 256) = left($1, 256) AND session_id = $1"
#define GIVEN_MESSAGES                                                                                       \
  "unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::timestamptz[])"                \
  " AS given(id, turn, role, content, metadata, created_at)"
/* The messages that match a search (word_search_t): $6 words, $7 phrases, $8 pieces. */
#define FOUND(words)                                                                                         \
  " FROM messages AS m JOIN conversations AS c ON c.id = m.conversation_id WHERE " words                     \
  " AND m.created_at BETWEEN $1 AND $2 AND ($3 IS NULL OR c.session_id = $3)"
#define MESSAGE_WORDS WORDS(MESSAGE_TEXT, "$6", "$7")
#define OLD_MESSAGE_WORDS OLD_WORDS("m.words", "$6", "$7")
#define SEARCH(words, rank)                                                                                  \
  "WITH found AS MATERIALIZED (SELECT m.id, " rank "::float8 AS rank, m.created_at" FOUND(                   \
      words) " ORDER BY rank DESC, m.created_at DESC, m.id DESC LIMIT $4 OFFSET $5)"                         \
             " SELECT " MESSAGE ", " FOUND_CONVERSATION ", found.rank FROM found"                            \
             " JOIN messages AS m ON m.id = found.id JOIN conversations AS c ON c.id = m.conversation_id"    \
             " ORDER BY found.rank DESC, m.created_at DESC, m.id DESC"

#define LOGS_QUERY(words)                                                                                    \
  LOG_COLUMNS LOGS_FILTER(words, BETWEEN_TIMES, "created_at",                                                \
                          "< ($2, $3)") " ORDER BY created_at DESC, id DESC LIMIT $9::bigint"
#define LOGS_ARRIVED(words)                                                                                  \
  LOG_COLUMNS ", arrival::text" LOGS_FILTER(                                                                 \
      words, BETWEEN_TIMES_GIVEN, "arrival",                                                                 \
      "> ($13::text::xid8, $3)") " AND arrival >= pg_snapshot_xmin($11::text::pg_snapshot)"                  \
                                 " AND NOT pg_visible_in_snapshot(arrival, $11::text::pg_snapshot)"          \
                                 " AND pg_visible_in_snapshot(arrival, $12::text::pg_snapshot) ORDER BY "    \
                                 "arrival, id LIMIT $9::bigint"

static const char *const statements[PQ_STATEMENTS] = {
#include "store_sql.inc"
    [SQL_CONTEXTS_LOCK] = "LOCK TABLE startup_contexts IN SHARE ROW EXCLUSIVE MODE",
    [PQ_LOGS_INSERT] = LOGS_INSERT("created_at", "data::jsonb", "", ""),
    [PQ_LOGS_INSERT_JSON_AS_TEXT] = LOGS_INSERT("created_at", "dewey_json(data)", "", ""),
    [PQ_LOGS_INSERT_REUSING_TIME] = LOGS_INSERT(STORED_TIME, "dewey_json(data)", ", $8::bigint[]", ", seek"),
    [PQ_LOGS_QUERY] = LOGS_QUERY(LINE_WORDS),
    [PQ_LOGS_QUERY_OLD] = LOGS_QUERY(OLD_LINE_WORDS),
    [PQ_LOGS_ARRIVED] = LOGS_ARRIVED(LINE_WORDS),
    [PQ_LOGS_ARRIVED_OLD] = LOGS_ARRIVED(OLD_LINE_WORDS),
    [PQ_LOGS_CLEAR] =
        "WITH step AS MATERIALIZED (SELECT id, created_at" LOGS_TO_CLEAR
        " AND created_at >= $4::timestamptz ORDER BY created_at LIMIT $5::bigint),"
        " gone AS (DELETE FROM logs USING step WHERE logs.created_at = step.created_at AND logs.id = step.id"
        " RETURNING logs.created_at) SELECT count(*), max(created_at) FROM gone",
    [PQ_LOGS_CLEAR_COUNT] = "SELECT count(*)" LOGS_TO_CLEAR,
    [PQ_LOGS_COUNTS] =
        "SELECT component, array_position(" LEVEL_NAMES ", level)::bigint - 1, count(*) FROM logs"
        " GROUP BY component, level ORDER BY component COLLATE \"C\"",
    [PQ_LOGS_RANGE] = "SELECT (SELECT created_at FROM logs ORDER BY created_at, id LIMIT 1),"
                      " (SELECT created_at FROM logs ORDER BY created_at DESC, id DESC LIMIT 1),"
                      " pg_database_size(current_database())",
    [PQ_DAY_DROP] = "SELECT coalesce(dewey_drop_day($1::timestamptz), -1)",
    [PQ_RETENTION_AT] = "SELECT retention_at FROM dewey_schema WHERE retention_at IS NOT NULL",
    [PQ_RETENTION_BEGIN] = "UPDATE dewey_schema SET retention_at = $1::timestamptz",
    [PQ_SEARCH] =
        SEARCH(MESSAGE_WORDS, "dewey_rank(dewey_words(left(" MESSAGE_TEXT ")), string_to_array($8, E'\\n'))"),
    [PQ_SEARCH_OLD] = SEARCH(OLD_MESSAGE_WORDS, "ts_rank(m.words, dewey_query($6), 1)"),
    [PQ_SEARCH_COUNT] = "SELECT count(*)" FOUND(MESSAGE_WORDS),
    [PQ_SEARCH_COUNT_OLD] = "SELECT count(*)" FOUND(OLD_MESSAGE_WORDS),
    [PQ_CHECK_WRITING] = "UPDATE dewey_schema SET checked_at = now()",
    [PQ_CHECK_READING] = "SELECT count(*) FROM (SELECT FROM logs LIMIT 1) AS one",
};
_Static_assert((int)PQ_STATEMENTS <= (int)PQ_STATEMENTS_MAX, "there is a place for each");

const pq_spec_t pq_spec = {"dewey", statements, PQ_STATEMENTS};
