/* pq_words.c: see pq_words.h.
 *
 * Indexes for rows of version 2 are built one day after the other with CREATE INDEX CONCURRENTLY, while
 * the store is in use; an index left invalid by an interruption is built again. One program does this at a
 * time. Then words_at is set in dewey_schema, and from then on all programs search by the new indexes. A
 * minute later no search by the old indexes can be running, and these are dropped. */
#include "pq_words.h"
#include "db_pq.h"
#include "monotonic.h"
#include "words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_OF(number) #number
#define DIGITS(number) TEXT_OF(number)

/* ---- SQL ---- */

#define RANGE(first, last) "\\U" #first "-\\U" #last
#define WORDS_ACCENTS
static const char accents[] =
#include "words_ranges.inc"
    ;
#undef WORDS_ACCENTS
#define WORDS_SEPARATORS
static const char separators[] =
#include "words_ranges.inc"
    ;
#undef WORDS_SEPARATORS
#define WORDS_SINGLES
static const char singles[] =
#include "words_ranges.inc"
    ;
#undef WORDS_SINGLES
#define WORDS_MARKED
static const char marked[] =
#include "words_ranges.inc"
    ;
#undef WORDS_MARKED
#undef RANGE

/* The steps of words.h, with accents, marked, marked, accents, singles, separators. In ASCII a single
 * blank between words is left unchanged. */
static const char words_function[] =
    "CREATE FUNCTION dewey_words(given text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE "
    "AS\n"
    "$$ DECLARE\n"
    "  words text;\n"
    "BEGIN\n"
    "  IF octet_length(given) = char_length(given) THEN\n"
    "    words := ' ' || lower(given COLLATE \"C\") || ' ';\n"
    "    words := regexp_replace(words COLLATE \"C\", ' *[^0-9a-z ][^0-9a-z]*|  +', ' ', 'g');\n"
    "  ELSE\n"
    "    words := regexp_replace(given COLLATE \"C\", '[%s]+', '', 'g');\n"
    "    IF char_length(given) > 255 THEN\n"
    "      words := regexp_replace(words COLLATE \"C\", '[%s]{64}(?=[%s])', '\\& ', 'g');\n"
    "    END IF;\n"
    "    words := regexp_replace(normalize(words, NFKD) COLLATE \"C\", '[%s]+', '', 'g');\n"
    "    words := translate(lower(words COLLATE \"und-x-icu\"), chr(962), chr(963));\n"
    "    words := ' ' || left(normalize(words, NFC), 260000) || ' ';\n"
    "    words := regexp_replace(words COLLATE \"C\", '[%s]', ' \\& ', 'g');\n"
    "    words := regexp_replace(words COLLATE \"C\", '[%s]+', ' ', 'g');\n"
    "  END IF;\n"
    "  IF octet_length(words) > 255 THEN\n"
    "    words := regexp_replace(words COLLATE \"C\", '[^ ]{255}(?=[^ ])', '\\& ', 'g');\n"
    "  END IF;\n"
    "  RETURN words;\n"
    "END $$;";

static const char words_sql[] =
#include "pq_words.sql.inc"
    ;

int pq_words_make(pq_conn_t *conn, store_error_t *error) {
  size_t room = sizeof words_function + 2 * sizeof accents + 2 * sizeof marked + sizeof singles +
                sizeof separators + sizeof words_sql;
  char *sql = malloc(room);
  if (sql == NULL)
    return pq_no_memory(conn, error);
  int len = snprintf(sql, room, words_function, accents, marked, marked, accents, singles, separators);
  memcpy(sql + len, words_sql, sizeof words_sql);
  int code = pq_command(conn, sql, "adding the words of texts", error);
  free(sql);
  return code;
}

/* ---- Making the indexes ---- */

enum { INDEX_MS = 24 * 60 * 60 * 1000, NAME_SIZE = 64, SQL_SIZE = 6 * NAME_SIZE };

static enum pq_row on_name(const PGresult *result, void *arg) {
  mcp_text_t name = pq_text(result, 0);
  snprintf(arg, NAME_SIZE, "%.*s", (int)name.len, name.ptr != NULL ? name.ptr : "");
  return PQ_ROW_STOP;
}

/* Creates a missing index. Without ANALYZE PostgreSQL would estimate every word as rare. */
static int make_index(pq_conn_t *conn, const char *name, const char *table, const char *text,
                      store_error_t *error) {
  char sql[SQL_SIZE];
  int64_t valid = 0;
  snprintf(sql, sizeof sql,
           "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('%s') AND indisvalid", name);
  int code = pq_query_int(conn, sql, &valid, "looking for an index", error);
  if (code != STORE_OK || valid > 0)
    return code;
  mcp_log(MCP_LOG_INFO, "store", "rebuilding the text index of %s; searches keep working", table);
  snprintf(sql, sizeof sql, "DROP INDEX CONCURRENTLY IF EXISTS %s", name);
  code = pq_command(conn, sql, "dropping an index", error);
  snprintf(sql, sizeof sql,
           "CREATE INDEX CONCURRENTLY %s ON %s USING gin((dewey_words(left(%s))::tsvector))"
           " WITH (gin_pending_list_limit = 256)",
           name, table, text);
  if (code == STORE_OK)
    code = pq_command(conn, sql, "making an index", error);
  snprintf(sql, sizeof sql, "ANALYZE %s", table);
  return code == STORE_OK ? pq_command(conn, sql, "analysing a table", error) : code;
}

static int make_index_of_day(pq_conn_t *conn, const char *day, store_error_t *error) {
  char name[NAME_SIZE + 8], sql[SQL_SIZE];
  snprintf(name, sizeof name, "%s_plain", day);
  int code = make_index(conn, name, day, "message, " DIGITS(WORDS_LINE_MAX_CHARS), error);
  snprintf(sql, sizeof sql,
           "SET lock_timeout = 2000; ALTER INDEX dewey_logs_plain ATTACH PARTITION %s; SET lock_timeout = 0",
           name);
  return code == STORE_OK ? pq_command(conn, sql, "attaching an index", error) : code;
}

static int make_indexes(pq_conn_t *conn, store_error_t *error) {
  char day[NAME_SIZE] = "";
  int code = pq_command(conn, "SET statement_timeout = 0; SET lock_timeout = 0", "making indexes", error);
  do {
    if (code == STORE_OK)
      code = pq_exec_sql(conn, "SELECT dewey_day_to_words()", NULL, on_name, day, NULL, "looking for indexes",
                         error);
    if (code == STORE_OK && day[0] != '\0')
      code = make_index_of_day(conn, day, error);
  } while (code == STORE_OK && day[0] != '\0');
  if (code == STORE_OK)
    code = make_index(conn, "dewey_messages_plain", "messages", "content, " DIGITS(WORDS_MESSAGE_MAX_CHARS),
                      error);
  if (code == STORE_OK)
    code = pq_command(conn, "UPDATE dewey_schema SET words_at = now() WHERE words_at IS NULL",
                      "using indexes", error);
  if (code == STORE_OK)
    mcp_log(MCP_LOG_INFO, "store", "searches use the new text indexes");
  return code;
}

/* STORE_BUSY: another program does it, or the minute has not passed. */
static int move_on(pq_conn_t *conn, store_error_t *error) {
  int64_t state = 0; /* 0: complete; 1: an index is missing; 2: drop the old ones; 3: wait */
  int code = pq_query_int(conn, "SELECT dewey_words_state()", &state, "looking for indexes", error);
  if (code != STORE_OK || state == 0)
    return code;
  if (state == 3)
    return STORE_BUSY;
  if (state == 2)
    return pq_command(conn, "SET lock_timeout = 2000; SELECT dewey_drop_old_words()",
                      "dropping the older indexes", error);
  code = make_indexes(conn, error);
  return code == STORE_OK ? STORE_BUSY : code;
}

int pq_index(store_t *store, cancel_token_t cancel, store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  pq_conn_t *conn = &self->indexer; /* separate, so that it does not occupy a pooled connection for long */
  int64_t mine = 0;
  conn->cancel = cancel;
  int code = atomic_load(&self->pools.ready) ? pq_connect(conn, &self->pools.conninfo, error) : STORE_BUSY;
  if (code != STORE_OK)
    return code;
  conn->deadline_ms = monotonic_ms() + INDEX_MS;
  code = pq_query_int(conn, "SELECT pg_try_advisory_lock(7306934505)::integer::bigint", &mine,
                      "looking for indexes", error);
  if (code == STORE_OK)
    code = mine ? move_on(conn, error) : STORE_BUSY;
  pq_disconnect(conn); /* releases the lock and the settings */
  return code;
}

/* ---- Searching ---- */

/* Tells whether searches must use the old indexes; once they use the new ones, they always do. */
static int find_state(pq_store_t *store, pq_conn_t *conn, bool *old, store_error_t *error) {
  int64_t made = 1;
  int code = STORE_OK;
  if (!atomic_load(&store->words_made))
    code =
        pq_query_int(conn, "SELECT count(words_at) FROM dewey_schema", &made, "looking for indexes", error);
  if (code == STORE_OK && made > 0)
    atomic_store(&store->words_made, true);
  *old = made == 0;
  return code;
}

/* Copies the text with blanks for NUL, which PostgreSQL cannot hold. Returns false if out of memory. */
static bool read_old(pq_search_t *search, mcp_text_t wanted) {
  char *copy = search->copies[0] = malloc(wanted.len + 1);
  for (size_t i = 0; copy != NULL && i < wanted.len; i++)
    copy[i] = wanted.ptr[i] != '\0' ? wanted.ptr[i] : ' ';
  search->words = (mcp_text_t){copy, wanted.len};
  return copy != NULL;
}

/* " a \n b c " becomes "a & b & c"; the words need no quotes. */
static mcp_text_t write_query(const char *pieces, char *out) {
  size_t len = 0;
  bool inside = false;
  for (const char *c = pieces; *c != '\0'; c++) {
    bool letter = *c != ' ' && *c != '\n';
    if (letter && !inside && len > 0)
      len += (size_t)sprintf(out + len, " & ");
    if (letter)
      out[len++] = *c;
    inside = letter;
  }
  return (mcp_text_t){out, len};
}

/* Pieces of several words: " a \n b c \n d e " becomes "% b c %\n% d e %"; the words need no escapes. */
static mcp_text_t write_phrases(const char *pieces, char *out) {
  size_t len = 0;
  for (const char *piece = pieces; *piece != '\0';) {
    size_t size = strcspn(piece, "\n"), first = strcspn(piece + 1, " ") + 2;
    if (size > first)
      len += (size_t)sprintf(out + len, "%s%%%.*s%%", len > 0 ? "\n" : "", (int)size, piece);
    piece += piece[size] == '\n' ? size + 1 : size;
  }
  return (mcp_text_t){len > 0 ? out : NULL, len};
}

/* Returns false if out of memory. */
static bool read_new(pq_search_t *search, mcp_text_t wanted) {
  char *pieces = search->copies[0] = words_of_search(wanted);
  size_t room = pieces != NULL ? 3 * strlen(pieces) + 1 : 0;
  search->copies[1] = room > 0 ? malloc(room) : NULL;
  search->copies[2] = room > 0 ? malloc(room) : NULL;
  if (search->copies[1] == NULL || search->copies[2] == NULL)
    return false;
  search->pieces = (mcp_text_t){pieces, strlen(pieces)};
  search->words = write_query(pieces, search->copies[1]);
  search->phrases = write_phrases(pieces, search->copies[2]);
  return true;
}

int pq_search_init(pq_search_t *search, pq_store_t *store, pq_conn_t *conn, mcp_text_t wanted,
                   store_error_t *error) {
  *search = (pq_search_t){.old = false};
  int code = wanted.len > 0 ? find_state(store, conn, &search->old, error) : STORE_OK;
  if (code != STORE_OK || wanted.len == 0)
    return code;
  bool fine = search->old ? read_old(search, wanted) : read_new(search, wanted);
  return fine ? STORE_OK : pq_no_memory(conn, error);
}

void pq_search_deinit(pq_search_t *search) {
  for (int i = 0; i < 3; i++)
    free(search->copies[i]);
}

int pq_read_words(store_db_t *self, db_conn_t *conn, mcp_text_t wanted, word_search_t *search,
                  store_error_t *error) {
  pq_search_t words;
  int code = pq_search_init(&words, (pq_store_t *)self, db_pq_conn(conn), wanted, error);
  const mcp_text_t texts[STORE_DB_WORD_TEXTS] = {words.words, words.phrases, words.pieces};
  search->count = words.old ? PQ_SEARCH_COUNT_OLD : PQ_SEARCH_COUNT;
  search->find = words.old ? PQ_SEARCH_OLD : PQ_SEARCH;
  for (int i = 0; i < STORE_DB_WORD_TEXTS; i++) {
    search->texts[i] = texts[i];
    search->owned[i] = words.copies[i];
  }
  return code;
}
