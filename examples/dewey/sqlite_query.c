/* sqlite_query.c: see sqlite_query.h.
 *
 * In one read transaction a "pick" finds the numbers of the matching rows, newest first; then each row is
 * read by its number. A pick takes candidates from the indexes, in order; if they must be checked for
 * words or data, it takes them in rounds of growing size and checks each round as a whole. Its SQL is
 * composed from the given filters and kept for the next query of the same shape.
 *
 * Data is searched like words: the text index has a term for each value in a line's data; the lines found
 * are then compared as a whole.
 *
 * Costs: with component, level, trace id and time, about the rows returned. With search or data, the rows
 * that match; or, if these are more than MATCHES_MAX, the rows scanned from the newest on until enough of
 * them match; comparing data reads and parses a row, 0.5 to 2 µs. The connection's deadline limits the
 * time. */
#include "sqlite_query.h"
#include "json_terms.h"
#include "sqlite_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  MATCHES_MAX = 50 * 1000, /* with more matches, scan rows in result order instead of sorting */
  ROUND_FIRST = 256,       /* candidates */
  ROUND_MAX = 64 * 1024,
  SPARSE = 32, /* rows for each candidate between the lowest and the highest one */
  PICKS_MAX = 1001
};

/* How words are searched: their matches are the candidates; or candidates are checked, either against all
 * matches between the first and the last row of a round, or, if they are sparse, one by one. */
enum search { SEARCH_NONE, SEARCH_FIRST, SEARCH_RANGE, SEARCH_EACH, SEARCH_WAYS };

/* One query while it runs. */
typedef struct query {
  sqlite_conn_t *conn;
  const log_filter_t *filter;
  enum search search;
  char *words;      /* MATCH expression; owned; NULL: no search */
  char *old_words;  /* for the older index; owned; NULL: it is empty */
  yyjson_doc *data; /* the object wanted; owned */
  int64_t at_us;    /* candidates come after this position */
  unsigned char at_id[ID_BYTES + 1];
  int at_id_len;
  sqlite3_int64 lowest, highest; /* rows of the round's candidates */
  sqlite3_int64 rows[PICKS_MAX];
  int count;
} query_t;

static bool given(mcp_text_t text) {
  return text.ptr != NULL;
}

/* ---- Preparing ---- */

enum { DATA_BYTES = JSON_TERMS_SIZE + sizeof "() OR " JSON_TERMS_TOO_MANY };

/* Writes the MATCH expression for data: all its terms, or the term for too many; "" if it has none. */
static void write_data(yyjson_val *data, char out[DATA_BYTES]) {
  char words[JSON_TERMS_SIZE];
  out[0] = '\0';
  if (json_terms(data, words) && words[0] != '\0')
    snprintf(out, DATA_BYTES, "(%s) OR " JSON_TERMS_TOO_MANY, words);
}

/* Combines both searches and frees of_search. Returns "" without a search, NULL if out of memory. */
static char *join_words(const query_t *query, char *of_search) {
  char of_data[DATA_BYTES] = "";
  if (query->data != NULL)
    write_data(yyjson_doc_get_root(query->data), of_data);
  char *all = of_search != NULL ? sqlite3_mprintf(of_data[0] == '\0'     ? "%s"
                                                  : of_search[0] == '\0' ? "%s%s"
                                                                         : "(%s) AND (%s)",
                                                  of_search, of_data)
                                : NULL;
  free(of_search);
  return all;
}

/* Returns false if out of memory or data is invalid JSON. */
static bool read_filter(query_t *query) {
  const log_filter_t *filter = query->filter;
  if (given(filter->data)) {
    query->data = mcp_json_read(filter->data.ptr, filter->data.len);
    if (query->data == NULL)
      return false;
  }
  char *words = join_words(query, sqlite_match_expression(filter->search));
  if (words != NULL && words[0] != '\0')
    query->words = words;
  else
    sqlite3_free(words);
  return words != NULL;
}

static int no_memory(store_error_t *error) {
  sqlite3_snprintf(sizeof error->text, error->text, "out of memory");
  error->brief = "out of memory";
  return STORE_FAILED;
}

/* In the query's transaction: adds the older index if it still holds rows. */
static int find_old_words(query_t *query, store_error_t *error) {
  sqlite_words_state_t state = {0};
  int code = query->words != NULL ? sqlite_read_words_state(query->conn, &state, error) : STORE_OK;
  if (code != STORE_OK || state.old_lines == 0)
    return code;
  query->old_words = join_words(query, sqlite_match_expression_old(query->filter->search));
  if (query->old_words != NULL)
    return STORE_OK;
  sqlite_conn_run(query->conn, SQLITE_CONN_ROLLBACK);
  return no_memory(error);
}

static void query_deinit(query_t *query) {
  sqlite3_free(query->old_words);
  yyjson_doc_free(query->data);
  sqlite3_free(query->words);
}

/* Begins after the row that the filter names, or at end_us, whichever is older. */
static void set_place(query_t *query) {
  const log_filter_t *filter = query->filter;
  if (filter->after && filter->after_us <= filter->end_us) {
    query->at_us = filter->after_us;
    query->at_id_len = ID_BYTES;
    id_to_bytes(filter->after_id, query->at_id);
  } else {
    query->at_us = filter->end_us;
    query->at_id_len = ID_BYTES + 1; /* greater than every id */
    memset(query->at_id, 0xff, sizeof query->at_id);
  }
}

static void bind_old_words(sqlite3_stmt *statement, int index, const query_t *query) {
  if (query->old_words != NULL)
    sqlite3_bind_text(statement, index, query->old_words, -1, SQLITE_STATIC);
}

/* Chooses the way to search: few matches are sorted; with many, a scan in result order soon finds enough
 * of them. */
static int choose_search(query_t *query, store_error_t *error) {
  query->search = SEARCH_NONE;
  if (query->words == NULL)
    return STORE_OK;
  query->search = SEARCH_EACH;
  if (given(query->filter->trace_id))
    return STORE_OK;
  sqlite3_stmt *statement =
      sqlite_conn_statement(query->conn, query->old_words != NULL ? SQL_MATCHES_BOTH : SQL_MATCHES);
  sqlite3_bind_text(statement, 1, query->words, -1, SQLITE_STATIC);
  bind_old_words(statement, 3, query);
  sqlite3_bind_int(statement, 2, MATCHES_MAX + 1);
  int code = STORE_OK;
  if (statement == NULL || sqlite3_step(statement) != SQLITE_ROW)
    code = sqlite_conn_fail(query->conn, "searching", error);
  else if (sqlite3_column_int(statement, 0) <= MATCHES_MAX)
    query->search = SEARCH_FIRST;
  sqlite_conn_reset(statement);
  return code;
}

/* ---- The SQL of a pick ---- */

static const char newest_first[] = " ORDER BY created_at DESC, id DESC LIMIT ?8";

static void append_conditions(sqlite3_str *sql, const log_filter_t *filter) {
  sqlite3_str_appendall(sql, " created_at >= ?1 AND (created_at, id) < (?2, ?3)");
  if (given(filter->component))
    sqlite3_str_appendall(sql, " AND component = ?4");
  if (given(filter->trace_id))
    sqlite3_str_appendall(sql, " AND trace_id = ?5");
}

/* True if one index has all candidates in order, or they are few. */
static bool is_single_scan(const query_t *query) {
  const log_filter_t *filter = query->filter;
  return query->search == SEARCH_FIRST || given(filter->trace_id) ||
         (filter->min_level == MCP_LOG_TRACE && !given(filter->component));
}

/* Appends a query for the row numbers that match the words; condition restricts them. */
static void append_matches(sqlite3_str *sql, const query_t *query, const char *condition) {
  sqlite3_str_appendf(sql, "SELECT rowid FROM logs_words WHERE logs_words MATCH ?6%s", condition);
  if (query->old_words != NULL)
    sqlite3_str_appendf(sql,
                        " UNION ALL SELECT rowid FROM logs_text WHERE logs_text MATCH ?9"
                        " AND rowid <= (SELECT old_lines FROM words_state)%s",
                        condition);
}

/* Compares data during the scan, which avoids reading the rows twice. */
static void append_single_scan(sqlite3_str *sql, const query_t *query) {
  if (query->search == SEARCH_FIRST) {
    sqlite3_str_appendall(sql, "SELECT seq, created_at, id FROM (");
    append_matches(sql, query, "");
    sqlite3_str_appendall(sql, ") AS matches CROSS JOIN logs ON seq = matches.rowid WHERE");
  }
  if (query->search != SEARCH_FIRST)
    sqlite3_str_appendf(sql, "SELECT seq, created_at, id FROM logs INDEXED BY %s WHERE",
                        given(query->filter->trace_id) ? "logs_trace" : "logs_time");
  append_conditions(sql, query->filter);
  if (given(query->filter->data))
    sqlite3_str_appendall(sql, " AND json_contains(data, ?7)");
  sqlite3_str_appendf(sql, " AND level >= %d%s", query->filter->min_level, newest_first);
}

/* A minimum level: takes the newest rows of each level from the index, then the newest of these. */
static void append_level_scans(sqlite3_str *sql, const log_filter_t *filter) {
  const char *join = "SELECT * FROM (";
  for (int level = filter->min_level; level <= MCP_LOG_ERROR; level++) {
    sqlite3_str_appendf(
        sql, "%sSELECT * FROM (SELECT seq, created_at, id FROM logs INDEXED BY %s WHERE level = %d AND", join,
        given(filter->component) ? "logs_component" : "logs_level", level);
    append_conditions(sql, filter);
    sqlite3_str_appendf(sql, "%s)", newest_first);
    join = " UNION ALL ";
  }
  sqlite3_str_appendf(sql, ")%s", newest_first);
}

/* Columns: row number, time and id of a candidate, and whether it matches. */
static void append_pick(sqlite3_str *sql, const query_t *query) {
  const log_filter_t *filter = query->filter;
  sqlite3_str_appendall(sql, "WITH candidates AS MATERIALIZED (");
  if (is_single_scan(query))
    append_single_scan(sql, query);
  else
    append_level_scans(sql, filter);
  sqlite3_str_appendall(sql, ") SELECT seq, created_at, id, 1");
  if (query->search == SEARCH_EACH || query->search == SEARCH_RANGE) {
    sqlite3_str_appendall(sql, query->search == SEARCH_EACH ? " AND EXISTS (" : " AND seq IN (");
    append_matches(sql, query,
                   query->search == SEARCH_EACH ? " AND rowid = seq"
                                                : " AND rowid BETWEEN (SELECT min(seq) FROM candidates) AND"
                                                  " (SELECT max(seq) FROM candidates)");
    sqlite3_str_appendall(sql, ")");
  }
  if (given(filter->data) && !is_single_scan(query))
    sqlite3_str_appendall(sql,
                          " AND json_contains((SELECT data FROM logs WHERE logs.seq = candidates.seq), ?7)");
  sqlite3_str_appendall(sql, " FROM candidates ORDER BY created_at DESC, id DESC");
}

static int shape_of(const query_t *query) {
  const log_filter_t *filter = query->filter;
  int shape = given(filter->component) + 2 * given(filter->trace_id) + 4 * given(filter->data);
  int way = (int)query->search + SEARCH_WAYS * (query->old_words != NULL);
  return shape + 8 * way + 16 * SEARCH_WAYS * filter->min_level;
}
_Static_assert(16 * SEARCH_WAYS * (MCP_LOG_ERROR + 1) == SQLITE_PICK_SHAPES, "one place for each shape");

/* NULL: SQLite holds the error. */
static sqlite3_stmt *pick_statement(query_t *query) {
  sqlite3_stmt **slot = &query->conn->prepared[SQL_PICKS + shape_of(query)];
  if (*slot != NULL)
    return *slot;
  sqlite3_str *sql = sqlite3_str_new(query->conn->db);
  append_pick(sql, query);
  char *text = sqlite3_str_finish(sql);
  if (text != NULL)
    sqlite_conn_prepare(query->conn, slot, text);
  sqlite3_free(text);
  return *slot;
}

/* ---- Picking ---- */

static void bind_pick(sqlite3_stmt *statement, const query_t *query, int candidates) {
  sqlite3_bind_int64(statement, 1, query->filter->start_us);
  sqlite3_bind_int64(statement, 2, query->at_us);
  sqlite3_bind_blob(statement, 3, query->at_id, query->at_id_len, SQLITE_TRANSIENT);
  sqlite_bind_text(statement, 4, query->filter->component);
  sqlite_bind_text(statement, 5, query->filter->trace_id);
  if (query->words != NULL)
    sqlite3_bind_text(statement, 6, query->words, -1, SQLITE_STATIC);
  if (query->data != NULL)
    sqlite3_bind_pointer(statement, 7, yyjson_doc_get_root(query->data), "json", NULL);
  sqlite3_bind_int(statement, 8, candidates);
  bind_old_words(statement, 9, query);
}

/* Keeps a candidate if it matches, and moves the position behind it. */
static void take_candidate(query_t *query, sqlite3_stmt *statement) {
  const void *id = sqlite3_column_blob(statement, 2);
  int len = sqlite3_column_bytes(statement, 2);
  query->at_us = sqlite3_column_int64(statement, 1);
  query->at_id_len = len < ID_BYTES ? len : ID_BYTES;
  if (len > 0)
    memcpy(query->at_id, id, (size_t)query->at_id_len);
  sqlite3_int64 row = sqlite3_column_int64(statement, 0);
  query->lowest = row < query->lowest ? row : query->lowest;
  query->highest = row > query->highest ? row : query->highest;
  if (sqlite3_column_int(statement, 3))
    query->rows[query->count++] = row;
}

/* Runs one round; *seen is its number of candidates. */
static int pick_round(query_t *query, int candidates, int *seen, store_error_t *error) {
  sqlite3_stmt *statement = pick_statement(query);
  if (statement == NULL)
    return sqlite_conn_fail(query->conn, "preparing a query", error);
  bind_pick(statement, query, candidates);
  int code;
  query->lowest = INT64_MAX;
  query->highest = 0;
  for (*seen = 0; (code = sqlite3_step(statement)) == SQLITE_ROW && query->count < query->filter->limit;
       ++*seen)
    take_candidate(query, statement);
  int result =
      code == SQLITE_ROW || code == SQLITE_DONE ? STORE_OK : sqlite_conn_fail(query->conn, "querying", error);
  sqlite_conn_reset(statement);
  return result;
}

/* After a round: chooses how the next one checks its words. */
static void choose_check(query_t *query, int seen) {
  if (query->search == SEARCH_EACH || query->search == SEARCH_RANGE)
    query->search = query->highest - query->lowest > (int64_t)SPARSE * seen ? SEARCH_EACH : SEARCH_RANGE;
}

static int pick(query_t *query, store_error_t *error) {
  bool checked = query->search == SEARCH_EACH || (given(query->filter->data) && !is_single_scan(query));
  int candidates = checked ? ROUND_FIRST : query->filter->limit, seen = 0;
  int code = pick_round(query, candidates, &seen, error);
  while (code == STORE_OK && seen == candidates && query->count < query->filter->limit) {
    candidates = candidates < ROUND_MAX ? candidates * 2 : ROUND_MAX;
    choose_check(query, seen);
    code = pick_round(query, candidates, &seen, error);
  }
  return code;
}

/* ---- Reading ---- */

/* Returns false if the file is damaged. */
static bool read_row(sqlite3_stmt *statement, log_entry_t *row) {
  *row = (log_entry_t){.created_at = sqlite3_column_int64(statement, 1),
                       .level = sqlite3_column_int(statement, 2),
                       .component = sqlite_column_text(statement, 3),
                       .message = sqlite_column_text(statement, 4),
                       .trace_id = sqlite_column_text(statement, 5),
                       .data = sqlite_column_text(statement, 6)};
  const unsigned char *id = sqlite3_column_blob(statement, 0);
  if (sqlite3_column_bytes(statement, 0) != ID_BYTES || row->level < MCP_LOG_TRACE ||
      row->level > MCP_LOG_ERROR || !given(row->component) || !given(row->message))
    return false;
  id_from_bytes(id, row->id);
  return true;
}

/* ---- Following ---- */

/* Passes rows to the caller. */
typedef struct arriving {
  store_row_cb cb;
  void *arg;
  int64_t last; /* last row accepted */
  bool more;    /* the caller refused a row */
} arriving_t;

static enum sqlite_row on_arrived(sqlite3_stmt *statement, void *arg) {
  arriving_t *arriving = arg;
  log_entry_t row;
  if (!read_row(statement, &row))
    return SQLITE_ROW_DAMAGED;
  arriving->more = !arriving->cb(&row, arriving->arg);
  if (arriving->more)
    return SQLITE_ROW_STOP;
  arriving->last = sqlite3_column_int64(statement, 7);
  return SQLITE_ROW_CONTINUE;
}

static void bind_arrived(sqlite3_stmt *statement, const query_t *query, int64_t place) {
  const log_filter_t *filter = query->filter;
  sqlite3_bind_int64(statement, 1, place);
  sqlite3_bind_int64(statement, 2, filter->start_us);
  sqlite3_bind_int64(statement, 3, filter->end_us);
  sqlite3_bind_int(statement, 4, filter->min_level);
  sqlite_bind_text(statement, 5, filter->component);
  sqlite_bind_text(statement, 6, filter->trace_id);
  if (query->words != NULL)
    sqlite3_bind_text(statement, 7, query->words, -1, SQLITE_STATIC);
  sqlite3_bind_int(statement, 8, query->data != NULL);
  if (query->data != NULL)
    sqlite3_bind_pointer(statement, 9, yyjson_doc_get_root(query->data), "json", NULL);
  sqlite3_bind_int(statement, 10, filter->limit);
  bind_old_words(statement, 11, query);
}

static enum sqlite_row on_number(sqlite3_stmt *statement, void *arg) {
  *(int64_t *)arg = sqlite3_column_int64(statement, 0);
  return SQLITE_ROW_STOP;
}

/* Continues after *place, or after the newest row if *place is beyond it: then the mark is from another
 * file. */
static int follow(query_t *query, int64_t *place, arriving_t *arriving, store_error_t *error) {
  sqlite_conn_t *conn = query->conn;
  int64_t highest = 0;
  if (sqlite_conn_run(conn, SQLITE_CONN_BEGIN_READ) != SQLITE_OK)
    return sqlite_conn_fail(conn, "beginning to follow", error);
  int code =
      sqlite_conn_exec(conn, sqlite_conn_statement(conn, SQL_LAST), on_number, &highest, "following", error);
  arriving->last = *place;
  if (code == STORE_OK)
    code = find_old_words(query, error);
  if (code == STORE_OK && *place < highest) {
    sqlite3_stmt *statement =
        sqlite_conn_statement(conn, query->old_words != NULL ? SQL_ARRIVED_BOTH : SQL_ARRIVED);
    bind_arrived(statement, query, *place);
    code = sqlite_conn_exec(conn, statement, on_arrived, arriving, "following", error);
  }
  if (code == STORE_OK && sqlite_conn_run(conn, SQLITE_CONN_COMMIT) != SQLITE_OK)
    code = sqlite_conn_fail(conn, "ending to follow", error);
  if (code == STORE_OK)
    *place = arriving->more ? arriving->last : highest;
  return code;
}

int sqlite_arrived(sqlite_conn_t *conn, const log_filter_t *filter, int64_t *place, store_row_cb cb,
                   void *arg, store_error_t *error) {
  query_t query = {.conn = conn, .filter = filter};
  arriving_t arriving = {.cb = cb, .arg = arg};
  int code = read_filter(&query) ? follow(&query, place, &arriving, error) : no_memory(error);
  query_deinit(&query);
  return code;
}

/* ---- Querying ---- */

static int fetch(query_t *query, store_row_cb cb, void *arg, store_error_t *error) {
  sqlite3_stmt *statement = sqlite_conn_statement(query->conn, SQL_FETCH);
  if (statement == NULL)
    return sqlite_conn_fail(query->conn, "preparing to read", error);
  bool wanted = true;
  int code = STORE_OK;
  for (int i = 0; i < query->count && wanted && code == STORE_OK; i++) {
    log_entry_t row;
    sqlite3_bind_int64(statement, 1, query->rows[i]);
    if (sqlite3_step(statement) == SQLITE_ROW && read_row(statement, &row))
      wanted = cb(&row, arg);
    else
      code = sqlite_conn_fail(query->conn, "reading a row", error);
    sqlite_conn_reset(statement);
  }
  return code;
}

static int run(query_t *query, store_row_cb cb, void *arg, store_error_t *error) {
  if (sqlite_conn_interrupted(query->conn)) {
    sqlite3_snprintf(sizeof error->text, error->text, "the query was interrupted before it began");
    return query->conn->interrupt_code;
  }
  if (sqlite_conn_run(query->conn, SQLITE_CONN_BEGIN_READ) != SQLITE_OK)
    return sqlite_conn_fail(query->conn, "beginning to read", error);
  int code = find_old_words(query, error);
  if (code == STORE_OK)
    code = choose_search(query, error);
  if (code == STORE_OK)
    code = pick(query, error);
  if (code == STORE_OK)
    code = fetch(query, cb, arg, error);
  if (code == STORE_OK && sqlite_conn_run(query->conn, SQLITE_CONN_COMMIT) != SQLITE_OK)
    code = sqlite_conn_fail(query->conn, "ending a query", error);
  return code;
}

int sqlite_query(sqlite_conn_t *conn, const log_filter_t *filter, store_row_cb cb, void *arg,
                 store_error_t *error) {
  query_t query = {.conn = conn, .filter = filter};
  int code;
  if (read_filter(&query)) {
    set_place(&query);
    code = run(&query, cb, arg, error);
  } else {
    code = no_memory(error);
  }
  query_deinit(&query);
  return code;
}
