/* databases.c: see databases.h. */
#include "databases.h"

#include <criterion/criterion.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool on_postgresql(void) {
  return getenv("DEWEY_DB_HOST") != NULL;
}

const pq_conninfo_t *postgresql_conninfo(void) {
  static pq_conninfo_t conninfo;
  conninfo = (pq_conninfo_t){.host = getenv("DEWEY_DB_HOST"),
                             .port = getenv("DEWEY_DB_PORT"),
                             .name = "postgres",
                             .user = getenv("DEWEY_DB_USER"),
                             .password = getenv("DEWEY_DB_PASSWORD")};
  return &conninfo;
}

void run_on_postgresql(const char *sql) {
  const pq_conninfo_t *conninfo = postgresql_conninfo();
  PGconn *pg = PQsetdbLogin(conninfo->host, conninfo->port, NULL, NULL, conninfo->name, conninfo->user,
                            conninfo->password);
  PGresult *result = PQexec(pg, sql);
  ExecStatusType status = PQresultStatus(result);
  cr_assert(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK, "%s", PQerrorMessage(pg));
  PQclear(result);
  PQfinish(pg);
}

void make_schema(void) {
  char words[64];
  snprintf(words, sizeof words, "-c search_path=test_%d", (int)getpid());
  setenv("PGOPTIONS", words, 1);
  snprintf(words, sizeof words, "CREATE SCHEMA test_%d", (int)getpid());
  run_on_postgresql(words);
}
