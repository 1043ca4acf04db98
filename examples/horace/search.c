/* search.c: see search.h. The SQL is composed of fixed pieces, one for each filter; callers' values are
 * passed as parameters only. */
#include "search.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { SQL_SIZE = 4096, SORTED_MAX = 1000 };

const char *const search_sorts[SEARCH_SORTS] = {"created_at", "updated_at", "size",   "path",
                                                "owner",      "mime_type",  "version"};

/* The sort orders, made unique by the id. */
static const char *const orders[SEARCH_SORTS][2] = {
    {"f.created_at DESC, f.id DESC", "f.created_at, f.id"},
    {"f.updated_at DESC, f.id DESC", "f.updated_at, f.id"},
    {"f.size DESC, f.id DESC", "f.size, f.id"},
    {"f.path DESC, f.id DESC", "f.path, f.id"},
    {"f.owner DESC NULLS LAST, f.id DESC", "f.owner NULLS LAST, f.id"},
    {"f.mime_type DESC, f.id DESC", "f.mime_type, f.id"},
    {"f.version DESC, f.id DESC", "f.version, f.id"}};

typedef struct sql {
  char text[SQL_SIZE];
  size_t len;
  db_params_t params;
  char type[2][MIME_TYPE_SIZE]; /* texts that params borrows */
} sql_t;

static void add(sql_t *sql, const char *piece) {
  sql->len += (size_t)snprintf(sql->text + sql->len, sizeof sql->text - sql->len, "%s", piece);
}

/* Appends a condition with the number of the parameter that was added last. */
static void add_condition(sql_t *sql, const char *piece) {
  sql->len +=
      (size_t)snprintf(sql->text + sql->len, sizeof sql->text - sql->len, "%s$%d", piece, sql->params.count);
}

static void where_text(sql_t *sql, const char *piece, mcp_text_t value) {
  db_add_text(&sql->params, value);
  add_condition(sql, piece);
}

static void where_int(sql_t *sql, const char *piece, int64_t value) {
  db_add_int(&sql->params, value);
  add_condition(sql, piece);
}

static void where_time(sql_t *sql, const char *piece, int64_t us) {
  db_add_time(&sql->params, us);
  add_condition(sql, piece);
}

/* "image/" + '*': all that sorts from "image/" to before "image0", since '0' follows '/'. */
static void where_mime_prefix(sql_t *sql, mcp_text_t type) {
  snprintf(sql->type[0], MIME_TYPE_SIZE, "%.*s", (int)type.len - 1, type.ptr);
  snprintf(sql->type[1], MIME_TYPE_SIZE, "%.*s0", (int)type.len - 2, type.ptr);
  where_text(sql, " AND f.mime_type >= ", (mcp_text_t){sql->type[0], strlen(sql->type[0])});
  where_text(sql, " AND f.mime_type < ", (mcp_text_t){sql->type[1], strlen(sql->type[1])});
}

static void where_extension(sql_t *sql, mcp_text_t type) {
  bool dot = type.ptr[0] == '.';
  size_t len = type.len - dot;
  for (size_t i = 0; i < len && i < MIME_TYPE_SIZE; i++)
    sql->type[0][i] = (char)tolower((unsigned char)type.ptr[i + dot]);
  where_text(sql, " AND f.extension = ", (mcp_text_t){sql->type[0], len});
}

static void where_type(sql_t *sql, mcp_text_t type) {
  if (type.len >= 2 && memcmp(type.ptr + type.len - 2, "/*", 2) == 0)
    where_mime_prefix(sql, type);
  else if (memchr(type.ptr, '/', type.len) != NULL)
    where_text(sql, " AND f.mime_type = ", type);
  else
    where_extension(sql, type);
}

/* Few matches: SQLite starts from the tag. Many: it walks the files in order and stops early. */
static void where_tags(sql_t *sql, const search_t *search, bool many) {
  for (int i = 0; i < search->tag_count; i++) {
    where_text(sql,
               many ? " AND EXISTS(SELECT 1 FROM horace_tags t WHERE t.file = f.id AND t.tag = "
                    : " AND f.id IN (SELECT file FROM horace_tags WHERE tag = ",
               search->tags[i]);
    add(sql, ")");
  }
}

static void where(sql_t *sql, const search_t *search, bool many) {
  add(sql, " FROM horace_files f WHERE true");
  if (search->status >= 0)
    where_text(sql, " AND f.status = ",
               (mcp_text_t){file_statuses[search->status], strlen(file_statuses[search->status])});
  if (search->owner.ptr != NULL)
    where_text(sql, " AND f.owner = ", search->owner);
  if (search->file_type.ptr != NULL)
    where_type(sql, search->file_type);
  if (search->collection != NULL) {
    db_add_id(&sql->params, search->collection);
    add_condition(sql, " AND f.collection = ");
  }
  if (search->created_after != INT64_MIN)
    where_time(sql, " AND f.created_at >= ", search->created_after);
  if (search->created_before != INT64_MAX)
    where_time(sql, " AND f.created_at <= ", search->created_before);
  if (search->min_size > 0)
    where_int(sql, " AND f.size >= ", search->min_size);
  if (search->max_size < INT64_MAX)
    where_int(sql, " AND f.size <= ", search->max_size);
  where_tags(sql, search, many);
}

static int count(db_conn_t *conn, const search_t *search, int64_t *total, store_error_t *error) {
  sql_t sql = {.len = 0};
  add(&sql, "SELECT count(*)");
  where(&sql, search, false);
  return db_exec_sql(conn, sql.text, &sql.params, db_read_int, total, "counting files", error);
}

/* Sorts ids only to find the page, then reads the whole rows of that page. */
static int read_page(db_conn_t *conn, const search_t *search, int64_t total, db_row_cb cb, void *arg,
                     store_error_t *error) {
  const char *order = orders[search->sort][search->ascending];
  sql_t sql = {.len = 0};
  add(&sql, "SELECT " CATALOGUE_FILE_COLUMNS " FROM (SELECT f.id");
  where(&sql, search, total > SORTED_MAX);
  add(&sql, " ORDER BY ");
  add(&sql, order);
  where_int(&sql, " LIMIT ", search->limit);
  where_int(&sql, " OFFSET ", search->offset);
  add(&sql, ") page JOIN horace_files f ON f.id = page.id" CATALOGUE_JOIN_COLLECTION CATALOGUE_JOIN_PATHS
            " ORDER BY ");
  add(&sql, order);
  add(&sql, ", p.path");
  return db_exec_sql(conn, sql.text, &sql.params, cb, arg, "searching files", error);
}

int search_run(db_t *db, const search_t *search, cancel_token_t cancel, db_row_cb cb, void *arg,
               int64_t *total, store_error_t *error) {
  int code;
  db_conn_t *conn = db_begin(db, DB_READ, cancel, &code, error);
  if (conn == NULL)
    return code;
  code = count(conn, search, total, error);
  if (code == STORE_OK)
    code = read_page(conn, search, *total, cb, arg, error);
  return db_end(conn, code, error);
}
