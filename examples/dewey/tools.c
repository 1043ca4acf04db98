/* tools.c: Dewey's log tools, and the table of all its tools.
 *
 * They run on the server's thread pool, since the store blocks, and are log traffic: a call that stores
 * logs must not produce logs. Responses are built in the call's own document, which reports lack of
 * memory. Invalid arguments get MCP_INVALID_PARAMS; failures of the store are tool errors without the
 * database's message, which is logged. */
#include "tools.h"
#include "tool_args.h"
#include "context_tools.h"
#include "conversation_tools.h"
#include "logs.h"
#include "monotonic.h"
#include "text_nul.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The prefix of cursors that follow the order of arrival. */
#define ARRIVAL "arrival"

enum {
  BATCH_MAX_ENTRIES = 1000, /* as in the schema */
  BATCH_MAX_BYTES = 8 * 1024 * 1024,
  QUERY_LIMIT = 100,
  QUERY_LIMIT_MAX = 1000,
  PAGE_BYTES = 900 * 1024, /* many clients close the connection at 1 MiB */
  SEARCH_MAX_BYTES = 1024,
  DATA_FILTER_MAX_BYTES = 4 * 1024, /* the cost of comparing grows with it */
  CLEAR_MS = 3 * 1000,              /* for deleting, plus its last step */
  COUNT_MS = 5 * 1000,              /* for counting with dry_run */
  REFUSED_ID_MAX_BYTES = 128,
  IGNORED_MAX = 64, /* names of unknown members reported */
  STATS_COMPONENTS = 1000
};

static const char store_logs_batch_schema[] =
    MCP_JSON({
  "type": "object",
  "properties": {"logs": {"type": "array", "items": {"type": "object"}, "maxItems": 1000}},
  "required": ["logs"]
});

static const char query_logs_schema[] = MCP_JSON({
  "type": "object",
  "properties": {
    "trace_id": {"type": "string", "description": "Filter by trace ID"},
    "component": {"type": "string", "description": "Filter by component name"},
    "level": {"type": "string", "description": "Minimum log level (TRACE, DEBUG, INFO, WARN, ERROR)"},
    "start_time": {"type": "string", "description": "Start time filter (ISO format)"},
    "end_time": {"type": "string", "description": "End time filter (ISO format)"},
    "search": {"type": "string", "description": "Full-text search in message"},
    "data": {"type": "object", "description": "Only logs whose data contains this JSON"},
    "cursor": {
      "type": "string",
      "description": "Read in pages: empty for the first page, then the next_cursor of the page before"
    },
    "limit": {"type": "integer", "description": "Maximum results (1-1000, default 100)"}
  }
});

static const char clear_logs_schema[] = MCP_JSON({
  "type": "object",
  "properties": {
    "before_time": {
      "type": "string",
      "description": "Clear logs older than this (ISO format; default: older than the retention)"
    },
    "component": {"type": "string", "description": "Clear logs of this component only"},
    "level": {"type": "string", "description": "Clear logs of this level only"}
  }
});

static const char clear_logs_unlisted[] = MCP_JSON({"dry_run": {"type": "boolean"}});

static const char get_log_stats_schema[] = MCP_JSON({"type": "object", "properties": {}});

int64_t dewey_retention_us(const dewey_t *dewey, int64_t now_us) {
  return now_us - dewey->retention_days * 24 * 3600 * 1000000;
}

/* *out is unchanged without the argument. Returns false after failing the call. */
static bool level_arg(mcp_call_t *call, yyjson_val *args, int *out) {
  yyjson_val *value = yyjson_obj_get(args, "level");
  if (!yyjson_is_str(value))
    return true;
  int level = mcp_log_level_from_json(value);
  if (level >= 0)
    *out = level;
  else
    mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "level must be one of TRACE, DEBUG, INFO, WARN, ERROR");
  return level >= 0;
}

/* ---- dewey_store_logs_batch ---- */

/* Adds a rejected entry to the response. */
static void add_rejected(yyjson_mut_doc *doc, yyjson_mut_val *rejected, size_t index, yyjson_val *entry,
                         const char *reason) {
  yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, rejected);
  mcp_text_t id = text_arg(entry, "id");
  yyjson_mut_obj_add_uint(doc, item, "index", index);
  if (id.ptr != NULL && id.len <= REFUSED_ID_MAX_BYTES)
    yyjson_mut_obj_add_strncpy(doc, item, "id", id.ptr, id.len);
  else
    yyjson_mut_obj_add_null(doc, item, "id");
  yyjson_mut_obj_add_str(doc, item, "reason", reason);
}

static bool is_of_a_line(yyjson_val *name) {
  static const char *const names[] = {"id",    "created_at", "trace_id", "component",
                                      "level", "message",    "data"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (yyjson_equals_str(name, names[i]))
      return true;
  return false;
}

static bool is_named(yyjson_mut_val *ignored, yyjson_val *name) {
  size_t index, count;
  yyjson_mut_val *other;
  yyjson_mut_arr_foreach(ignored, index, count, other) {
    if (yyjson_mut_equals_strn(other, yyjson_get_str(name), yyjson_get_len(name)))
      return true;
  }
  return false;
}

/* Adds the names of an entry's unknown members, each once, up to IGNORED_MAX for a batch. */
static void add_ignored(yyjson_mut_doc *doc, yyjson_val *entry, yyjson_mut_val **ignored) {
  size_t index, count;
  yyjson_val *name, *value;
  yyjson_obj_foreach(entry, index, count, name, value) {
    if (yyjson_is_null(value) || is_of_a_line(name) || is_named(*ignored, name) ||
        yyjson_mut_arr_size(*ignored) >= IGNORED_MAX)
      continue;
    if (*ignored == NULL)
      *ignored = yyjson_mut_arr(doc);
    yyjson_mut_arr_append(*ignored, yyjson_val_mut_copy(doc, name));
  }
}

/* Returns the time of receipt. If the clock is suspect because it is far behind the last retention, uses
 * that time, so that valid times of callers do not count as in the future. */
static int64_t receipt_us(dewey_t *dewey) {
  int64_t now_us = mcp_time_now_us(), last_us = atomic_load(&dewey->last_retention_us);
  return last_us > now_us && clock_guard_is_suspect(last_us, now_us) ? last_us : now_us;
}

/* Validates all entries. Returns false if out of memory. */
static bool read_batch(log_batch_t *batch, yyjson_val *logs, int64_t now_us, yyjson_mut_doc *doc,
                       yyjson_mut_val *rejected, yyjson_mut_val **ignored) {
  size_t index, count;
  yyjson_val *entry;
  yyjson_arr_foreach(logs, index, count, entry) {
    const char *reason;
    int result = log_batch_add(batch, entry, now_us, &reason);
    if (result == LOG_NO_MEMORY)
      return false;
    if (result == LOG_REJECTED)
      add_rejected(doc, rejected, index, entry, reason);
    add_ignored(doc, entry, ignored);
  }
  return true;
}

static void store_batch(mcp_call_t *call, dewey_t *dewey, const log_batch_t *batch, yyjson_mut_val *rejected,
                        yyjson_mut_val *ignored) {
  store_error_t error;
  size_t inserted = 0;
  int code = dewey->store->batch(dewey->store, batch->entries, batch->count, &inserted, &error);
  if (code != STORE_OK) {
    reply_store_error(call, &dewey->health, HEALTH_WRITE, code, "storing", &error);
    return;
  }
  if (inserted > 0)
    health_report(&dewey->health, HEALTH_WRITE, STORE_OK, NULL);
  const metrics_t *metrics = &dewey->metrics;
  mcp_metric_add(metrics->batches, NULL, 1);
  mcp_metric_add(metrics->entries, "stored", (double)inserted);
  mcp_metric_add(metrics->entries, "duplicate", (double)(batch->count - inserted));
  mcp_metric_add(metrics->entries, "rejected", (double)yyjson_mut_arr_size(rejected));
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *response = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_str(doc, response, "status", "ok");
  yyjson_mut_obj_add_uint(doc, response, "inserted_count", inserted);
  yyjson_mut_obj_add_uint(doc, response, "duplicates", batch->count - inserted);
  yyjson_mut_obj_add_val(doc, response, "rejected", rejected);
  yyjson_mut_obj_add_val(doc, response, "ignored", ignored);
  mcp_call_reply(call, response);
}

static void reply_nothing(mcp_call_t *call) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *response = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_str(doc, response, "status", "ok");
  yyjson_mut_obj_add_str(doc, response, "message", "No logs to store.");
  yyjson_mut_obj_add_val(doc, response, "ignored", mcp_call_ignored(call));
  mcp_call_reply(call, response);
}

static void on_store_logs_batch(mcp_call_t *call, yyjson_val *args, void *arg) {
  dewey_t *dewey = arg;
  yyjson_val *logs = yyjson_obj_get(args, "logs");
  yyjson_mut_val *rejected = yyjson_mut_arr(mcp_call_doc(call)), *ignored = mcp_call_ignored(call);
  log_batch_t batch;
  if (yyjson_arr_size(logs) == 0) {
    reply_nothing(call);
    return;
  }
  if (!log_batch_init(&batch, yyjson_arr_size(logs))) {
    reply_no_memory(call);
    return;
  }
  if (!read_batch(&batch, logs, receipt_us(dewey), mcp_call_doc(call), rejected, &ignored))
    reply_no_memory(call);
  else if (batch.bytes > BATCH_MAX_BYTES)
    mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "logs are larger than 8 MiB together");
  else
    store_batch(call, dewey, &batch, rejected, ignored);
  log_batch_deinit(&batch);
}

/* ---- dewey_query_logs ---- */

/* A page of results. */
typedef struct page {
  mcp_call_t *call;
  yyjson_mut_doc *doc;
  yyjson_mut_val *rows;
  int64_t now_us;
  size_t count, limit;
  size_t bytes, max_bytes;
  bool more;                    /* not all rows fit */
  char cursor[LOG_CURSOR_SIZE]; /* of the last row */
} page_t;

/* Adds a row unless the page is full; the first row always fits. */
static bool on_row(const log_entry_t *row, void *arg) {
  page_t *page = arg;
  page->bytes += log_row_wire_bytes(row);
  page->more = page->count == page->limit || (page->bytes > page->max_bytes && page->count > 0);
  if (page->more)
    return false;
  yyjson_mut_arr_append(page->rows, log_row_json(page->doc, row, page->now_us));
  log_cursor_format(row, page->cursor);
  page->count++;
  return true;
}

static bool search_arg(mcp_call_t *call, yyjson_val *args, mcp_text_t *out) {
  *out = text_arg(args, "search");
  if (out->len <= SEARCH_MAX_BYTES)
    return true;
  mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "search is longer than %d bytes", SEARCH_MAX_BYTES);
  return false;
}

/* Serialises data into *json, to be freed, which out points to. */
static bool data_arg(mcp_call_t *call, yyjson_val *args, char **json, mcp_text_t *out) {
  yyjson_val *value = yyjson_obj_get(args, "data");
  if (!yyjson_is_obj(value))
    return true;
  *json = yyjson_val_write(value, YYJSON_WRITE_NOFLAG, &out->len);
  out->ptr = *json;
  if (*json != NULL)
    out->len = json_replace_nul(*json, out->len);
  if (*json == NULL)
    reply_no_memory(call);
  else if (out->len > DATA_FILTER_MAX_BYTES)
    mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "data is larger than %d bytes", DATA_FILTER_MAX_BYTES);
  return *json != NULL && out->len <= DATA_FILTER_MAX_BYTES;
}

/* "arrival" means the lines that arrive from now on, "arrival:MARK" those since the store's mark. Returns
 * false for other cursors. */
static bool is_arrival(mcp_text_t cursor, mcp_text_t *mark) {
  const size_t len = sizeof ARRIVAL - 1;
  if (cursor.len < len || memcmp(cursor.ptr, ARRIVAL, len) != 0)
    return false;
  *mark = (mcp_text_t){cursor.ptr + len, cursor.len - len};
  if (mark->len == 0)
    return true;
  *mark = (mcp_text_t){mark->ptr + 1, mark->len - 1};
  return mark->ptr[-1] == ':' && mark->len > 0;
}

static void refuse_cursor(mcp_call_t *call) {
  mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "invalid cursor: expected a next_cursor of this tool");
}

static bool cursor_arg(mcp_call_t *call, mcp_text_t cursor, log_filter_t *filter) {
  mcp_text_t mark;
  filter->after = cursor.len > 0 && !is_arrival(cursor, &mark);
  if (!filter->after || log_cursor_parse(cursor, &filter->after_us, filter->after_id))
    return true;
  refuse_cursor(call);
  return false;
}

static bool read_filter(mcp_call_t *call, yyjson_val *args, log_filter_t *filter, char **json) {
  int64_t limit = QUERY_LIMIT;
  *filter = (log_filter_t){.trace_id = text_arg(args, "trace_id"),
                           .component = text_arg(args, "component"),
                           .min_level = MCP_LOG_TRACE,
                           .start_us = INT64_MIN,
                           .end_us = INT64_MAX};
  bool fine =
      replace_nul(call, &filter->trace_id) && replace_nul(call, &filter->component) &&
      level_arg(call, args, &filter->min_level) && time_arg(call, args, "start_time", &filter->start_us) &&
      end_time_arg(call, args, "end_time", &filter->end_us) &&
      int_arg(call, args, "limit", 1, QUERY_LIMIT_MAX, &limit) && search_arg(call, args, &filter->search) &&
      cursor_arg(call, text_arg(args, "cursor"), filter) && data_arg(call, args, json, &filter->data);
  filter->limit = (int)limit;
  return fine;
}

/* Replies with the rows, or with the rows and the next cursor. */
static void reply_page(page_t *page, bool with_cursor) {
  if (with_cursor) {
    yyjson_mut_val *response = yyjson_mut_obj(page->doc);
    yyjson_mut_obj_add_val(page->doc, response, "logs", page->rows);
    if (page->more)
      yyjson_mut_obj_add_strcpy(page->doc, response, "next_cursor", page->cursor);
    else
      yyjson_mut_obj_add_null(page->doc, response, "next_cursor");
    mcp_call_reply(page->call, response);
  } else if (page->more && page->count < page->limit) {
    reply_too_large(page->call, ", read it in pages with cursor");
  } else {
    mcp_call_reply(page->call, page->rows);
  }
}

static void reply_arrived(page_t *page, const char *mark) {
  char cursor[sizeof ARRIVAL + STORE_ARRIVAL_MARK_SIZE];
  snprintf(cursor, sizeof cursor, ARRIVAL ":%s", mark);
  yyjson_mut_val *response = yyjson_mut_obj(page->doc);
  yyjson_mut_obj_add_val(page->doc, response, "logs", page->rows);
  yyjson_mut_obj_add_strcpy(page->doc, response, "next_cursor", cursor);
  mcp_call_reply(page->call, response);
}

/* Returns a store_code; with STORE_OK the call was replied to. */
static int query(dewey_t *dewey, const log_filter_t *filter, page_t *page, mcp_text_t cursor,
                 store_error_t *error) {
  char next[STORE_ARRIVAL_MARK_SIZE];
  mcp_text_t mark;
  store_t *store = dewey->store;
  bool arrival = is_arrival(cursor, &mark);
  if (arrival && mark.len >= STORE_ARRIVAL_MARK_SIZE)
    return STORE_NOT_FOUND;
  int code = arrival ? store->arrived(store, filter, mark, cancel_when_abandoned(page->call), on_row, page,
                                      next, error)
                     : store->query(store, filter, cancel_when_abandoned(page->call), on_row, page, error);
  if (code != STORE_OK)
    return code;
  health_report(&dewey->health, HEALTH_READ, STORE_OK, NULL);
  mcp_metric_add(dewey->metrics.rows, "logs", (double)page->count);
  if (arrival)
    reply_arrived(page, next);
  else
    reply_page(page, cursor.ptr != NULL);
  return STORE_OK;
}

static void on_query_logs(mcp_call_t *call, yyjson_val *args, void *arg) {
  dewey_t *dewey = arg;
  mcp_text_t cursor = text_arg(args, "cursor");
  char *json = NULL;
  log_filter_t filter;
  if (read_filter(call, args, &filter, &json)) {
    page_t page = {.call = call,
                   .doc = mcp_call_doc(call),
                   .now_us = mcp_time_now_us(),
                   .limit = (size_t)filter.limit,
                   .max_bytes = cursor.ptr != NULL ? PAGE_BYTES : RESPONSE_MAX_BYTES};
    page.rows = yyjson_mut_arr(page.doc);
    filter.limit++; /* one more shows whether there is a next page */
    store_error_t error;
    int code = query(dewey, &filter, &page, cursor, &error);
    if (code == STORE_NOT_FOUND)
      refuse_cursor(call);
    else if (code != STORE_OK)
      reply_store_error(call, &dewey->health, HEALTH_READ, code, "querying", &error);
  }
  free(json);
}

/* ---- dewey_clear_logs ---- */

/* The time limit of a call. */
typedef struct deadline {
  mcp_call_t *call;
  int64_t end_ms;
} deadline_t;

static bool is_past_deadline(void *arg) {
  const deadline_t *deadline = arg;
  return mcp_call_cancelled(deadline->call) || monotonic_ms() >= deadline->end_ms;
}

static void reply_cleared(mcp_call_t *call, uint64_t count, const char *flag) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *response = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_str(doc, response, "status", "ok");
  yyjson_mut_obj_add_uint(doc, response, "deleted_count", count);
  if (flag != NULL)
    yyjson_mut_obj_add_bool(doc, response, flag, true);
  mcp_call_reply(call, response);
}

/* Reads before_time; a date without a time means its beginning. The default is the retention by the clock.
 * Returns false after failing the call, such as when the clock may be wrong. */
static bool before_arg(mcp_call_t *call, dewey_t *dewey, yyjson_val *args, int64_t *before_us) {
  int64_t last_us, now_us = mcp_time_now_us();
  store_error_t error;
  *before_us = dewey_retention_us(dewey, now_us);
  if (text_arg(args, "before_time").ptr != NULL)
    return time_arg(call, args, "before_time", before_us);
  int code = dewey->store->last_retention(dewey->store, &last_us, cancel_when_abandoned(call), &error);
  if (code != STORE_OK) {
    reply_store_error(call, &dewey->health, HEALTH_READ, code, "clearing", &error);
    return false;
  }
  if (!clock_guard_is_suspect(last_us, now_us))
    return true;
  mcp_call_tool_error(call, "nothing was deleted: Dewey's clock may be wrong (set before_time)");
  return false;
}

/* Deletes for a bounded time; repeating the call continues. One call at a time, since writers need threads
 * too. */
static void clear_some(mcp_call_t *call, dewey_t *dewey, const log_clear_t *what) {
  deadline_t deadline = {call, monotonic_ms() + CLEAR_MS};
  store_error_t error;
  uint64_t deleted;
  if (atomic_exchange(&dewey->clearing, true)) {
    reply_cleared(call, 0, "more");
    return;
  }
  int code = dewey->store->clear(dewey->store, what, (cancel_token_t){is_past_deadline, &deadline}, &deleted,
                                 &error);
  atomic_store(&dewey->clearing, false);
  mcp_metric_add(dewey->metrics.deleted, "clear", (double)deleted);
  if (code == STORE_OK || code == STORE_CANCELLED)
    reply_cleared(call, deleted, code == STORE_CANCELLED ? "more" : NULL);
  else
    reply_store_error(call, &dewey->health, HEALTH_WRITE, code, "clearing", &error);
}

static void count_all(mcp_call_t *call, dewey_t *dewey, const log_clear_t *what) {
  deadline_t deadline = {call, monotonic_ms() + COUNT_MS};
  store_error_t error;
  uint64_t count;
  int code =
      dewey->store->count(dewey->store, what, (cancel_token_t){is_past_deadline, &deadline}, &count, &error);
  if (code == STORE_OK)
    reply_cleared(call, count, "dry_run");
  else if (code == STORE_CANCELLED)
    mcp_call_tool_error(call,
                        "counting took longer than %d s (set an earlier before_time, a component or a level)",
                        COUNT_MS / 1000);
  else
    reply_store_error(call, &dewey->health, HEALTH_READ, code, "counting", &error);
}

static void on_clear_logs(mcp_call_t *call, yyjson_val *args, void *arg) {
  dewey_t *dewey = arg;
  log_clear_t what = {.component = text_arg(args, "component"), .level = -1};
  if (!replace_nul(call, &what.component) || !level_arg(call, args, &what.level) ||
      !before_arg(call, dewey, args, &what.before_us))
    return;
  if (mcp_arg_bool(args, "dry_run", false))
    count_all(call, dewey, &what);
  else
    clear_some(call, dewey, &what);
}

/* ---- dewey_get_log_stats ---- */

/* Sums the counts of each component; they arrive in the order of names. */
typedef struct counts {
  yyjson_mut_doc *doc;
  yyjson_mut_val *by_component;
  yyjson_mut_val *last_key, *last_sum;
  int64_t others; /* components not named: beyond the limit, or old rows with long names */
} counts_t;

static void add_count(yyjson_mut_val *sum, int64_t count) {
  yyjson_mut_set_sint(sum, yyjson_mut_get_sint(sum) + count);
}

static void on_count(mcp_text_t component, int64_t count, void *arg) {
  counts_t *counts = arg;
  if (yyjson_mut_equals_strn(counts->last_key, component.ptr, component.len)) {
    add_count(counts->last_sum, count);
  } else if (component.len > LOG_COMPONENT_MAX_BYTES ||
             yyjson_mut_obj_size(counts->by_component) == STATS_COMPONENTS) {
    counts->others += count;
  } else {
    counts->last_key = yyjson_mut_strncpy(counts->doc, component.ptr, component.len);
    counts->last_sum = yyjson_mut_sint(counts->doc, count);
    yyjson_mut_obj_add(counts->by_component, counts->last_key, counts->last_sum);
  }
}

/* A component may have the same name. */
static void add_others(counts_t *counts) {
  yyjson_mut_val *others = yyjson_mut_obj_get(counts->by_component, "others");
  if (others != NULL)
    add_count(others, counts->others);
  else if (counts->others > 0)
    yyjson_mut_obj_add_sint(counts->doc, counts->by_component, "others", counts->others);
}

static void reply_stats(mcp_call_t *call, const log_stats_t *stats, yyjson_mut_val *by_component) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *response = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_sint(doc, response, "total_count", stats->total);
  yyjson_mut_obj_add_val(doc, response, "count_by_component", by_component);
  yyjson_mut_val *by_level = yyjson_mut_obj_add_obj(doc, response, "count_by_level");
  for (int level = MCP_LOG_TRACE; level <= MCP_LOG_ERROR; level++) {
    if (stats->by_level[level] > 0)
      yyjson_mut_obj_add_sint(doc, by_level, mcp_log_level_name(level), stats->by_level[level]);
  }
  add_time(doc, response, "oldest_log_at", stats->total > 0 ? &stats->oldest_us : NULL);
  add_time(doc, response, "newest_log_at", stats->total > 0 ? &stats->newest_us : NULL);
  yyjson_mut_obj_add_sint(doc, response, "estimated_db_size", stats->bytes);
  mcp_call_reply(call, response);
}

static void on_get_log_stats(mcp_call_t *call, yyjson_val *args, void *arg) {
  dewey_t *dewey = arg;
  counts_t counts = {.doc = mcp_call_doc(call), .by_component = yyjson_mut_obj(mcp_call_doc(call))};
  (void)args;
  store_error_t error;
  log_stats_t stats;
  int code =
      dewey->store->stats(dewey->store, &stats, cancel_when_abandoned(call), on_count, &counts, &error);
  if (code == STORE_OK) {
    health_report(&dewey->health, HEALTH_READ, STORE_OK, NULL);
    add_others(&counts);
    reply_stats(call, &stats, counts.by_component);
  } else {
    reply_store_error(call, &dewey->health, HEALTH_READ, code, "counting", &error);
  }
}

/* ---- The table ---- */

void dewey_tools(dewey_t *dewey, mcp_tool_t tools[DEWEY_TOOLS + 1]) {
  enum { FLAGS = MCP_TOOL_BLOCKING | MCP_TOOL_LOG_TRAFFIC, BY_ARGUMENTS = FLAGS | MCP_TOOL_STRICT };
  const mcp_tool_t log_tools[] = {
      {"dewey_store_logs_batch", "Store a batch of log entries (up to 1,000)", store_logs_batch_schema,
       on_store_logs_batch, dewey, FLAGS | MCP_TOOL_WAITS, .annotations = MCP_ADDS},
      {"dewey_query_logs", "Query logs with various filters", query_logs_schema, on_query_logs, dewey,
       BY_ARGUMENTS, .annotations = MCP_READS},
      {"dewey_clear_logs", "Clear logs older than a time, by component and level", clear_logs_schema,
       on_clear_logs, dewey, BY_ARGUMENTS | MCP_TOOL_WAITS | MCP_TOOL_ADMIN, .annotations = MCP_CHANGES,
       .unlisted_properties = clear_logs_unlisted},
      {"dewey_get_log_stats", "Get statistics about the logs table", get_log_stats_schema, on_get_log_stats,
       dewey, BY_ARGUMENTS, .annotations = MCP_READS}};
  const mcp_tool_t end = MCP_TOOL_END;
  conversation_tools(dewey, tools);
  context_tools(dewey, tools + CONVERSATION_TOOLS);
  memcpy(tools + CONVERSATION_TOOLS + CONTEXT_TOOLS, log_tools, sizeof log_tools);
  tools[DEWEY_TOOLS] = end;
}
