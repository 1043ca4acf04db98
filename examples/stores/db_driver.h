/* db_driver.h: the interface between db.c and a database. */
#ifndef STORES_DB_DRIVER_H
#define STORES_DB_DRIVER_H

#include "db.h"

/* A statement while it runs. */
typedef struct db_execution {
  /* index into the spec; used if sql is NULL */
  int statement;
  const char *sql;
  const db_params_t *params;
  db_row_cb cb;        /* may be NULL */
  db_source_cb source; /* source of rows for exec_rows, else NULL */
  void *arg;
  const char *what;
  int64_t changed;
  bool damaged; /* a row holds an invalid value */
  const struct db_driver *driver;
} db_execution_t;

/* conn is the driver's connection. All functions block and return a store_code. */
typedef struct db_driver {
  int (*check)(db_t *db, size_t free_bytes, cancel_token_t cancel, store_error_t *error);
  void (*close)(db_t *db);
  /* Begins a transaction. Returns NULL with *code and error set on failure. */
  void *(*begin)(db_t *db, enum db_mode mode, cancel_token_t cancel, int *code, store_error_t *error);
  /* Commits or rolls back, then releases the connection. */
  int (*end)(db_t *db, enum db_mode mode, void *conn, bool commit, store_error_t *error);
  /* NULL: a commit needs no confirmation. */
  int (*confirm)(db_t *db, cancel_token_t cancel, store_error_t *error);
  /* After a failure the transaction is rolled back. */
  int (*exec)(db_t *db, void *conn, db_execution_t *execution, store_error_t *error);
  /* The same for all rows of execution->source; execution->params are the shared ones. */
  int (*exec_rows)(db_t *db, void *conn, db_execution_t *execution, store_error_t *error);
  bool (*is_null)(const db_row_t *row, int column);
  mcp_text_t (*text)(const db_row_t *row, int column);
  int64_t (*integer)(const db_row_t *row, int column);
  bool (*boolean)(const db_row_t *row, int column);
  double (*number)(const db_row_t *row, int column);
  int64_t (*time)(const db_row_t *row, int column);
  bool (*id)(const db_row_t *row, int column, char id[MCP_UUID_SIZE]);
} db_driver_t;

/* The first member of each driver's own struct. */
struct db {
  const db_driver_t *driver;
  const char *const *statements; /* of the spec */
};

struct db_row {
  void *statement;    /* of SQLite */
  const void *result; /* of PostgreSQL */
  db_execution_t *execution;
};

/* Passes a row to the caller. Returns false to stop: the caller wants no more, or the row is damaged. */
bool db_deliver_row(const db_row_t *row);

/* Reads the next row of execution->source into row, which begins with execution->params. Returns as
 * db_source_cb. */
int db_next_row(const db_execution_t *execution, db_params_t *row, store_error_t *error);

/* Returns the driver's connection. */
void *db_driver_conn(const db_conn_t *conn);

#endif
