/* pq_arrivals.c: log lines in the order of their arrival.
 *
 * Each line has the id of the transaction that stored it. Transactions commit in any order, and some take
 * long, so an id alone is not a position. A mark is therefore a PostgreSQL snapshot, which tells for each
 * transaction whether it had ended. The lines that arrived since are those that the current snapshot shows
 * and the mark's does not.
 *
 * A mark is such a snapshot ("low:high:running,running"), or, if more lines had arrived than were
 * accepted, "snapshot/current snapshot/transaction/id" with the last line accepted. */
#include "pq_words.h"
#include "text_nul.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct mark {
  mcp_text_t from, upto; /* snapshots; upto missing: read the current one */
  mcp_text_t number;     /* missing: from the first line */
  char id[MCP_UUID_SIZE];
} mark_t;

/* ---- Marks ---- */

static bool take_char(mcp_text_t *rest, char wanted) {
  if (rest->len == 0 || rest->ptr[0] != wanted)
    return false;
  *rest = (mcp_text_t){rest->ptr + 1, rest->len - 1};
  return true;
}

/* Reads a number below 2^63. Returns false if there is none. */
static bool take_number(mcp_text_t *rest, int64_t *number) {
  size_t digits = 0;
  for (*number = 0; digits < rest->len && rest->ptr[digits] >= '0' && rest->ptr[digits] <= '9'; digits++) {
    if (*number > (INT64_MAX - 9) / 10)
      return false;
    *number = *number * 10 + (rest->ptr[digits] - '0');
  }
  *rest = (mcp_text_t){rest->ptr + digits, rest->len - digits};
  return digits > 0;
}

/* True if PostgreSQL accepts the text: its error would count as a failure of the store. */
static bool is_snapshot(mcp_text_t rest) {
  int64_t low, high, running, last;
  if (!take_number(&rest, &low) || low == 0 || !take_char(&rest, ':') || !take_number(&rest, &high) ||
      high < low || !take_char(&rest, ':'))
    return false;
  for (last = low; rest.len > 0; last = running) {
    if (!take_number(&rest, &running) || running < last || running >= high)
      return false;
    if (rest.len > 0 && !take_char(&rest, ','))
      return false;
  }
  return true;
}

/* Takes the part before the next '/', and skips that. */
static mcp_text_t take_part(mcp_text_t *rest) {
  const char *end = memchr(rest->ptr, '/', rest->len);
  mcp_text_t part = {rest->ptr, end != NULL ? (size_t)(end - rest->ptr) : rest->len};
  size_t passed = end != NULL ? part.len + 1 : part.len;
  *rest = (mcp_text_t){rest->ptr + passed, rest->len - passed};
  return part;
}

/* Returns false if the mark is invalid. */
static bool read_mark(mcp_text_t text, mark_t *mark) {
  int64_t number;
  *mark = (mark_t){.from = take_part(&text)};
  if (!is_snapshot(mark->from))
    return false;
  if (text.len == 0)
    return true;
  mark->upto = take_part(&text);
  mark->number = take_part(&text);
  mcp_text_t digits = mark->number;
  return is_snapshot(mark->upto) && take_number(&digits, &number) && digits.len == 0 &&
         mcp_uuid_parse(text.ptr, text.len, mark->id) == 0;
}

/* ---- Reading ---- */

/* Passes rows to the caller and remembers the last one accepted. */
typedef struct arriving {
  store_row_cb cb;
  void *arg;
  bool more; /* the caller refused a row */
  char number[24], id[MCP_UUID_SIZE];
} arriving_t;

static enum pq_row on_row(const PGresult *result, void *arg) {
  arriving_t *arriving = arg;
  log_entry_t row;
  mcp_text_t number = pq_text(result, PQ_LOG_COLUMNS);
  if (!pq_log_row(result, &row) || number.ptr == NULL)
    return PQ_ROW_DAMAGED;
  arriving->more = !arriving->cb(&row, arriving->arg);
  if (arriving->more)
    return PQ_ROW_STOP;
  snprintf(arriving->number, sizeof arriving->number, "%.*s", (int)number.len, number.ptr);
  memcpy(arriving->id, row.id, sizeof row.id);
  return PQ_ROW_CONTINUE;
}

static enum pq_row on_snapshot(const PGresult *result, void *arg) {
  mcp_text_t found = pq_text(result, 0);
  int len =
      snprintf(arg, STORE_ARRIVAL_MARK_SIZE, "%.*s", (int)found.len, found.ptr != NULL ? found.ptr : "");
  return len > 0 && len < STORE_ARRIVAL_MARK_SIZE ? PQ_ROW_STOP : PQ_ROW_DAMAGED;
}

static int read_rows(pq_conn_t *conn, const log_filter_t *filter, const pq_search_t *search,
                     const mark_t *mark, arriving_t *arriving, store_error_t *error) {
  pq_params_t params = {.count = 0};
  pq_add_filter(&params, filter, filter->end_us, mark->number.ptr != NULL ? mark->id : NULL, search);
  pq_add_text(&params, mark->from);
  pq_add_text(&params, mark->upto);
  pq_add_text(&params, mark->number);
  return pq_exec(conn, search->old ? PQ_LOGS_ARRIVED_OLD : PQ_LOGS_ARRIVED, &params, on_row, arriving, NULL,
                 "following", error);
}

/* True if the mark is from a future that the database has lost, such as after a restore. */
static bool is_from_ahead(mcp_text_t from, mcp_text_t today) {
  int64_t low, high, high_today;
  return take_number(&from, &low) && take_char(&from, ':') && take_number(&from, &high) &&
         take_number(&today, &low) && take_char(&today, ':') && take_number(&today, &high_today) &&
         high > high_today;
}

static int follow(pq_conn_t *conn, const log_filter_t *filter, const pq_search_t *search, const mark_t *start,
                  arriving_t *arriving, char next[STORE_ARRIVAL_MARK_SIZE], store_error_t *error) {
  char today[STORE_ARRIVAL_MARK_SIZE];
  mark_t mark = *start;
  int code = pq_exec_sql(conn, "SELECT pg_current_snapshot()::text", NULL, on_snapshot, today, NULL,
                         "reading the snapshot", error);
  mcp_text_t now = {today, code == STORE_OK ? strlen(today) : 0};
  if (code != STORE_OK)
    return code;
  if (mark.upto.ptr == NULL)
    mark.upto = now;
  if (mark.from.len > 0 && !is_from_ahead(mark.from, now))
    code = read_rows(conn, filter, search, &mark, arriving, error);
  int len = arriving->more
                ? snprintf(next, STORE_ARRIVAL_MARK_SIZE, "%.*s/%.*s/%s/%s", (int)mark.from.len,
                           mark.from.ptr, (int)mark.upto.len, mark.upto.ptr, arriving->number, arriving->id)
                : snprintf(next, STORE_ARRIVAL_MARK_SIZE, "%.*s", (int)mark.upto.len, mark.upto.ptr);
  if (code == STORE_OK && len >= STORE_ARRIVAL_MARK_SIZE)
    return pq_roll_back(conn, STORE_BUSY, "too many transactions are at work to be followed", error);
  return code;
}

int pq_logs_arrived(store_t *store, const log_filter_t *filter, mcp_text_t text, cancel_token_t cancel,
                    store_row_cb cb, void *arg, char next[STORE_ARRIVAL_MARK_SIZE], store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  arriving_t arriving = {.cb = cb, .arg = arg};
  mark_t mark = {.from = text};
  int code;
  pq_search_t search;
  log_filter_t possible = *filter;
  if (text.len > 0 && !read_mark(text, &mark))
    return STORE_NOT_FOUND;
  if (text_has_nul(filter->component) || text_has_nul(filter->trace_id)) { /* matches no line */
    possible.component = possible.trace_id = (mcp_text_t){NULL, 0};
    possible.limit = 0;
  }
  pq_conn_t *conn = pq_acquire_reader(&self->pools, cancel, &code, error);
  if (conn == NULL)
    return code;
  code = pq_search_init(&search, self, conn, filter->search, error);
  if (code == STORE_OK)
    code = follow(conn, &possible, &search, &mark, &arriving, next, error);
  pq_search_deinit(&search);
  pq_release(&self->pools.readers, conn);
  return code;
}
