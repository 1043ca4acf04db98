/* db_driver.h: what db.c wants of a database. */
#ifndef STORES_DB_DRIVER_H
#define STORES_DB_DRIVER_H

#include "db.h"

/* A statement that is being run. */
typedef struct db_execution {
  int statement; /* of the plan, where there is no: */
  const char *sql;
  const db_params_t *params;
  db_row_cb cb;        /* may be NULL */
  db_source_cb source; /* of rows; else NULL */
  void *arg;
  const char *what;
  int64_t changed;
  bool damaged; /* a row is not as it was stored */
  const struct db_driver *driver;
} db_execution_t;

/* conn is the driver's own connection. Everything blocks and answers a store_code. */
typedef struct db_driver {
  int (*check)(db_t *db, size_t free_bytes, cancel_token_t cancel, store_error_t *error);
  void (*close)(db_t *db);
  /* A connection with its transaction begun; NULL: *code and error say why. */
  void *(*begin)(db_t *db, enum db_mode mode, cancel_token_t cancel, int *code, store_error_t *error);
  /* Gives it back when it has been committed, or what is open was rolled back. */
  int (*end)(db_t *db, enum db_mode mode, void *conn, bool commit, store_error_t *error);
  /* NULL: there is nothing to be waited for. */
  int (*confirm)(db_t *db, cancel_token_t cancel, store_error_t *error);
  /* After a failure nothing is open any more. */
  int (*exec)(db_t *db, void *conn, db_execution_t *execution, store_error_t *error);
  /* The same for all rows of asked->source; asked->params are the shared ones. */
  int (*exec_rows)(db_t *db, void *conn, db_execution_t *execution, store_error_t *error);
  bool (*is_null)(const db_row_t *row, int column);
  mcp_text_t (*text)(const db_row_t *row, int column);
  int64_t (*integer)(const db_row_t *row, int column);
  bool (*boolean)(const db_row_t *row, int column);
  double (*number)(const db_row_t *row, int column);
  int64_t (*time)(const db_row_t *row, int column);
  bool (*id)(const db_row_t *row, int column, char id[MCP_UUID_SIZE]);
} db_driver_t;

/* What each driver's own db begins with. */
struct db {
  const db_driver_t *driver;
  const char *const *statements; /* the plan's */
};

struct db_row {
  void *statement;    /* SQLite's, */
  const void *result; /* or PostgreSQL's */
  db_execution_t *execution;
};

/* Gives a row to who asked; false: no more are wanted, or asked->strange. */
bool db_deliver_row(const db_row_t *row);

/* Reads the next row of asked->source into row, which begins with asked->params. Returns as db_source_cb. */
int db_next_row(const db_execution_t *execution, db_params_t *row, store_error_t *error);

/* The driver's own connection. */
void *db_driver_conn(const db_conn_t *conn);

#endif
