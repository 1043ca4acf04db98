/* log_query.c: see log_query.h. A page has at most 1,000 rows and, by Godot's limit, 900 KiB. The limit max
 * or the client's deadline stops a query whose cursors never end. Failure: rows read before it are discarded;
 * a malformed result is a protocol error. */
#include "log_query.h"

#include <iccm_service.h>
#include <stdlib.h>
#include <string.h>
#include "check_alloc.h"
#include "sync_client.h"

enum { PAGE_ROWS = 1000 };

typedef struct read_request {
  log_query_rows_t *rows;
  char *cursor; /* owned; NULL: no further page */
  sync_client_cb on_error;
  void *arg;
  bool ok;
} read_request_t;

options_t log_query_options(const options_t *options) {
  options_t godot = *options;
  godot.url = options->arg_count > 0 ? options->args[0] : NULL;
  return godot;
}

static void put_text(yyjson_mut_doc *doc, yyjson_mut_val *args, const char *name, const char *text) {
  if (text != NULL)
    yyjson_mut_obj_add_strcpy(doc, args, name, text);
}

static void put_time(yyjson_mut_doc *doc, yyjson_mut_val *args, const char *name, int64_t us) {
  char text[MCP_TIME_SIZE];
  if (us == INT64_MIN || us == INT64_MAX)
    return;
  mcp_time_format(us, text);
  yyjson_mut_obj_add_strcpy(doc, args, name, text);
}

static yyjson_mut_doc *make_args(const log_query_filter_t *filter, size_t limit, const char *cursor) {
  yyjson_mut_doc *doc = check_alloc(yyjson_mut_doc_new(NULL));
  yyjson_mut_val *args = yyjson_mut_obj(doc);
  yyjson_mut_doc_set_root(doc, args);
  put_text(doc, args, "component", filter->component);
  put_text(doc, args, "level", filter->level);
  put_text(doc, args, "trace_id", filter->trace);
  put_text(doc, args, "search", filter->text);
  put_time(doc, args, "start_time", filter->since_us);
  put_time(doc, args, "end_time", filter->until_us);
  put_text(doc, args, "cursor", cursor);
  yyjson_mut_obj_add_uint(doc, args, "limit", limit);
  return doc;
}

/* Copies the rows, since the response is freed. */
static void append_page(log_query_rows_t *rows, yyjson_val *logs) {
  yyjson_mut_doc *copy = check_alloc(yyjson_mut_doc_new(NULL));
  yyjson_mut_doc_set_root(copy, check_alloc(yyjson_val_mut_copy(copy, logs)));
  rows->pages = check_alloc(realloc(rows->pages, (rows->page_count + 1) * sizeof *rows->pages));
  rows->pages[rows->page_count++] = check_alloc(yyjson_mut_doc_imut_copy(copy, NULL));
  rows->count += yyjson_arr_size(logs);
  yyjson_mut_doc_free(copy);
}

/* The rows of a result; NULL: on_error was called. */
static yyjson_val *logs_of(sync_client_t *sync, const mcp_result_t *result, sync_client_cb on_error,
                           void *arg) {
  yyjson_val *logs = yyjson_obj_get(result->value, "logs");
  const mcp_result_t malformed = {.status = MCP_EPROTOCOL, .message = "the result has no array logs"};
  if (result->status == 0 && !result->is_error && yyjson_is_arr(logs))
    return logs;
  on_error(sync, result->status != 0 || result->is_error ? result : &malformed, arg);
  return NULL;
}

/* The cursor of the next page; NULL: none. */
static const char *next_cursor(const mcp_result_t *result) {
  const char *next = yyjson_get_str(yyjson_obj_get(result->value, "next_cursor"));
  return next != NULL && *next != '\0' ? next : NULL;
}

static void on_page(sync_client_t *sync, const mcp_result_t *result, void *arg) {
  read_request_t *request = arg;
  yyjson_val *logs = logs_of(sync, result, request->on_error, request->arg);
  const char *next = next_cursor(result);
  free(request->cursor);
  request->cursor = NULL;
  request->ok = logs != NULL;
  if (!request->ok)
    return;
  append_page(request->rows, logs);
  request->cursor = next != NULL && yyjson_arr_size(logs) > 0 ? check_alloc(strdup(next)) : NULL;
}

bool log_query_read(sync_client_t *sync, const log_query_filter_t *filter, size_t max, log_query_rows_t *rows,
                    sync_client_cb on_error, void *arg) {
  read_request_t request = {
      .rows = rows, .cursor = check_alloc(strdup("")), .on_error = on_error, .arg = arg};
  *rows = (log_query_rows_t){.pages = NULL};
  do {
    size_t left = max - rows->count;
    request.ok = false;
    sync_client_call(sync, "logger_query",
                     make_args(filter, left < PAGE_ROWS ? left : PAGE_ROWS, request.cursor), on_page,
                     &request);
  } while (request.ok && request.cursor != NULL && rows->count < max);
  rows->more = request.cursor != NULL;
  free(request.cursor);
  if (!request.ok)
    log_query_rows_deinit(rows);
  return request.ok;
}

/* ---- following ------------------------------------------------------------------------------------- */

typedef struct follow_request {
  char **cursor;
  size_t *count;
  void (*each)(yyjson_val *row, void *arg);
  sync_client_cb on_error;
  void *arg;
  bool ok;
} follow_request_t;

static void on_follow_page(sync_client_t *sync, const mcp_result_t *result, void *arg) {
  follow_request_t *request = arg;
  const mcp_result_t older = {.status = MCP_EPROTOCOL,
                              .message = "the log store is older than this program and cannot be followed"};
  const char *next = next_cursor(result);
  yyjson_val *logs = logs_of(sync, result, request->on_error, request->arg), *row;
  size_t i, max;
  request->ok = logs != NULL && next != NULL;
  if (logs != NULL && next == NULL)
    request->on_error(sync, &older, request->arg);
  if (!request->ok)
    return;
  free(*request->cursor);
  *request->cursor = check_alloc(strdup(next));
  *request->count = yyjson_arr_size(logs);
  yyjson_arr_foreach(logs, i, max, row) {
    request->each(row, request->arg);
  }
}

bool log_query_follow(sync_client_t *sync, const log_query_filter_t *filter, char **cursor, size_t *count,
                      void (*each)(yyjson_val *row, void *arg), sync_client_cb on_error, void *arg) {
  follow_request_t request = {
      .cursor = cursor, .count = count, .each = each, .on_error = on_error, .arg = arg};
  sync_client_call(sync, "logger_query", make_args(filter, PAGE_ROWS, *cursor), on_follow_page, &request);
  return request.ok;
}

/* ---- rows ------------------------------------------------------------------------------------------ */

void log_query_for_each(const log_query_rows_t *rows, void (*each)(yyjson_val *row, void *arg), void *arg) {
  for (size_t page = rows->page_count; page-- > 0;) {
    yyjson_val *logs = yyjson_doc_get_root(rows->pages[page]);
    size_t i, count;
    yyjson_val *row, **ordered = check_alloc(malloc((yyjson_arr_size(logs) + 1) * sizeof *ordered));
    yyjson_arr_foreach(logs, i, count, row) ordered[i] = row; /* yyjson iterates only forwards */
    while (i-- > 0)
      each(ordered[i], arg);
    free(ordered);
  }
}

void log_query_rows_deinit(log_query_rows_t *rows) {
  for (size_t i = 0; i < rows->page_count; i++)
    yyjson_doc_free(rows->pages[i]);
  free(rows->pages);
  *rows = (log_query_rows_t){.pages = NULL};
}

bool log_query_time(yyjson_val *row, int64_t *us) {
  yyjson_val *time = yyjson_obj_get(row, "created_at");
  return yyjson_is_str(time) && mcp_time_parse(yyjson_get_str(time), yyjson_get_len(time), us) == 0;
}
