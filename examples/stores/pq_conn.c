/* pq_conn.c: see pq_conn.h.
 *
 * libpq is used in non-blocking mode: data is sent, then the socket is polled in small steps, between
 * which the deadline and the cancel token are checked. An interrupted statement closes its connection; the
 * server notices that within a second (client_connection_check_interval) and cancels the statement. Before
 * that the server's own limits apply (statement_timeout, lock_timeout). A commit that waits for a standby
 * obeys none of these: the next connection cancels such waits that are older than their limit.
 *
 * Standbys: a commit whose wait was ended (by such a cancellation, by an operator, by a restart) is
 * visible to all readers, but may exist on this server only. Therefore each reported success is followed
 * by a commit that did wait: its own, or that of pq_confirm().
 *
 * Failures: PostgreSQL's message goes to the log; callers get the kind of failure. A lost connection is
 * not repaired here; the next pq_connect replaces it. */
#include "pq_conn.h"
#include "monotonic.h"

#include <endian.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum {
  CONNECT_MS = 5 * 1000,                           /* single host */
  CONNECT_EACH_MS = 2500,                          /* each of several hosts */
  STATEMENT_MS = STORE_QUERY_TIMEOUT_MS + 5 * 1000 /* after the server's own limit */
};

/* Custom plans: statements disable a filter by passing null, which the planner can then remove. */
static const char session_settings[] =
    "SET statement_timeout = 25000; SET lock_timeout = 10000;"
    "SET idle_in_transaction_session_timeout = 60000;"
    "SET client_connection_check_interval = 1000;"
    "SET synchronous_commit = on; SET plan_cache_mode = force_custom_plan; SET jit = off;"
    "SET client_min_messages = warning; SET timezone = 'UTC'";
_Static_assert(STORE_QUERY_TIMEOUT_MS == 25000, "statement_timeout says the same");

/* Cancels waits for a standby that are older than the limit: their callers have given up. The user's own
 * connections only. */
#define END_OLD_WAITS                                                                                        \
  "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"                         \
  " AND usename = current_user AND usename = session_user"                                                   \
  " AND application_name = current_setting('application_name')"                                              \
  " AND query_start < clock_timestamp() - interval '%lld ms'"

/* ---- Failures ---- */

/* The public reason and the code of a failure; the first entry whose state is a prefix matches. */
static const struct failure_kind {
  const char *sqlstate, *brief;
  int code;
} failure_kinds[] = {{"57014", NULL, STORE_TIMEOUT}, /* statement_timeout */
                     {"55P03", NULL, STORE_BUSY},    /* lock_timeout */
                     {"40", NULL, STORE_BUSY},       /* deadlock, serialisation */
                     {"22", NULL, STORE_INVALID},    /* a value that its type cannot hold */
                     {"54", NULL, STORE_INVALID},    /* a value beyond the limits of an index or a row */
                     {"53100", STORE_DISK_FULL, STORE_FAILED},
                     {"53", "the database is out of memory or connections", STORE_FAILED},
                     {"28", "the database refuses the user or password", STORE_FAILED},
                     {"3D", "the database does not exist", STORE_FAILED},
                     {"42501", "the database refuses access to its tables", STORE_FAILED},
                     {"57P", "the database is starting or stopping", STORE_FAILED},
                     {"25006", "the database is read-only", STORE_FAILED},
                     {"08", "the database cannot be reached", STORE_FAILED},
                     {"DW002", "the database server was built without ICU (use one with it)", STORE_FAILED},
                     {"", "the database reported an error", STORE_FAILED}};

static int fail_as(const char *sqlstate, const char *what, const char *message, store_error_t *error) {
  const struct failure_kind *failure_kind = failure_kinds;
  while (strncmp(failure_kind->sqlstate, sqlstate, strlen(failure_kind->sqlstate)) != 0)
    failure_kind++;
  snprintf(error->text, sizeof error->text, "%s: %s%s%.*s", what, sqlstate, sqlstate[0] != '\0' ? ": " : "",
           (int)strcspn(message, "\n"), message);
  if (failure_kind->brief != NULL)
    error->brief = failure_kind->brief;
  return failure_kind->code;
}

void pq_disconnect(pq_conn_t *conn) {
  PQfinish(conn->pg);
  conn->pg = NULL;
  memset(conn->prepared, 0, sizeof conn->prepared);
}

static int connection_lost(pq_conn_t *conn, const char *what, store_error_t *error) {
  int code = fail_as("08000", what, PQerrorMessage(conn->pg), error);
  pq_disconnect(conn);
  return code;
}

/* A query that takes too long may be narrowed: STORE_TIMEOUT. A write is not the caller's fault:
 * STORE_FAILED. */
static int interrupted(pq_conn_t *conn, int code, const char *what, store_error_t *error) {
  bool timed_out = code == STORE_TIMEOUT && conn->deadline_ms == 0;
  if (timed_out) {
    error->brief = "the database does not answer";
    conn->host++; /* it may be cut off while another host was promoted */
  }
  snprintf(error->text, sizeof error->text, "%s: %s", what,
           code == STORE_CANCELLED ? "cancelled" : "the database took too long");
  pq_disconnect(conn);
  return timed_out ? STORE_FAILED : code;
}

/* ---- Waiting ---- */

/* Waits until the socket is ready, at most one step. Returns false on timeout. */
static bool wait_for(pq_conn_t *conn, short events, int64_t end_ms) {
  int64_t left_ms = end_ms - monotonic_ms();
  struct pollfd fd = {.fd = PQsocket(conn->pg), .events = events};
  return poll(&fd, 1, left_ms < 0 ? 0 : left_ms < CANCEL_POLL_MS ? (int)left_ms : CANCEL_POLL_MS) > 0;
}

/* Returns STORE_OK, or why the operation must end now. */
static int interrupt_code(pq_conn_t *conn, int64_t end_ms) {
  if (cancel_requested(conn->cancel))
    return STORE_CANCELLED;
  return monotonic_ms() >= end_ms ? STORE_TIMEOUT : STORE_OK;
}

static int64_t statement_deadline_ms(const pq_conn_t *conn) {
  return conn->deadline_ms != 0 ? conn->deadline_ms : monotonic_ms() + conn->statement_timeout_ms;
}

/* Sends the pending data and waits for a result. */
static int await_result(pq_conn_t *conn, int64_t end_ms, const char *what, store_error_t *error) {
  for (;;) {
    int unsent = PQflush(conn->pg);
    if (unsent < 0)
      return connection_lost(conn, what, error);
    if (unsent == 0 && !PQisBusy(conn->pg))
      return STORE_OK;
    int code = interrupt_code(conn, end_ms); /* also while input keeps arriving */
    if (code != STORE_OK)
      return interrupted(conn, code, what, error);
    if (wait_for(conn, unsent > 0 ? POLLIN | POLLOUT : POLLIN, end_ms) && !PQconsumeInput(conn->pg))
      return connection_lost(conn, what, error);
  }
}

/* ---- Results ---- */

/* A statement while it runs. */
typedef struct execution {
  pq_row_cb cb;
  void *arg;
  const char *what;
  store_error_t *error;
  int code;
  bool stopped; /* ignore further rows */
  int64_t changed;
} execution_t;

static void take_row(execution_t *execution, const PGresult *result) {
  enum pq_row row =
      execution->cb != NULL && !execution->stopped ? execution->cb(result, execution->arg) : PQ_ROW_CONTINUE;
  execution->stopped = execution->stopped || row != PQ_ROW_CONTINUE;
  if (row == PQ_ROW_DAMAGED)
    execution->code = fail_as("", execution->what, "invalid value in a row", execution->error);
}

static void take_failure(pq_conn_t *conn, execution_t *execution, const PGresult *result) {
  const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  snprintf(conn->sqlstate, sizeof conn->sqlstate, "%s", sqlstate != NULL ? sqlstate : "08000");
  execution->code = fail_as(conn->sqlstate, execution->what,
                            message != NULL ? message : PQerrorMessage(conn->pg), execution->error);
  if (execution->code == STORE_TIMEOUT && conn->deadline_ms == 0)
    execution->code = STORE_BUSY; /* see interrupted() */
}

static bool is_change(const char *command) {
  return strncmp(command, "INSERT", 6) == 0 || strncmp(command, "UPDATE", 6) == 0 ||
         strncmp(command, "DELETE", 6) == 0;
}

static void take_result(pq_conn_t *conn, execution_t *execution, PGresult *result) {
  switch (PQresultStatus(result)) {
  case PGRES_SINGLE_TUPLE:
    take_row(execution, result);
    break;
  case PGRES_TUPLES_OK:
  case PGRES_COMMAND_OK:
    execution->changed = strtoll(PQcmdTuples(result), NULL, 10);
    conn->wrote = conn->wrote || (execution->changed > 0 && is_change(PQcmdStatus(result)));
    break;
  default:
    if (execution->code == STORE_OK)
      take_failure(conn, execution, result);
  }
  PQclear(result);
}

/* Reads all results of the statement that was sent. */
static int take_results(pq_conn_t *conn, execution_t *execution) {
  int64_t end_ms = statement_deadline_ms(conn);
  for (;;) {
    int code = await_result(conn, end_ms, execution->what, execution->error);
    if (code != STORE_OK)
      return code;
    PGresult *result = PQgetResult(conn->pg);
    if (result == NULL)
      break;
    take_result(conn, execution, result);
  }
  return PQstatus(conn->pg) == CONNECTION_OK ? execution->code
                                             : connection_lost(conn, execution->what, execution->error);
}

/* Rolls back an open transaction. Returns code. */
static int fail_transaction(pq_conn_t *conn, int code, store_error_t *error) {
  if (conn->pg != NULL && PQtransactionStatus(conn->pg) != PQTRANS_IDLE)
    return pq_roll_back(conn, code, NULL, error);
  return code;
}

/* Completes a statement; sent is false if sending it has failed. */
static int finish(pq_conn_t *conn, int sent, execution_t *execution) {
  conn->sqlstate[0] = '\0';
  if (!sent)
    return connection_lost(conn, execution->what, execution->error);
  int code = take_results(conn, execution);
  return code == STORE_OK ? STORE_OK : fail_transaction(conn, code, execution->error);
}

/* ---- Statements ---- */

static const char *name_of(int which, char name[16]) {
  snprintf(name, 16, "statement_%d", (int)which);
  return name;
}

static int prepare(pq_conn_t *conn, int which, const pq_params_t *params, store_error_t *error) {
  char name[16];
  execution_t execution = {.what = "preparing a statement", .error = error};
  if (conn->prepared[which])
    return STORE_OK;
  int sent = PQsendPrepare(conn->pg, name_of(which, name), conn->spec->statements[which], params->count,
                           params->types);
  int code = finish(conn, sent, &execution);
  conn->prepared[which] = code == STORE_OK;
  return code;
}

static const int binary[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                             1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
_Static_assert(sizeof binary / sizeof binary[0] == PQ_PARAMS_MAX, "one for each");
static const pq_params_t none = {.count = 0};

static int stop_before(pq_conn_t *conn, const char *what, store_error_t *error) {
  return cancel_requested(conn->cancel) ? interrupted(conn, STORE_CANCELLED, what, error) : STORE_OK;
}

/* Reads the rows of a statement; sent is false if sending it has failed. */
static int receive_rows(pq_conn_t *conn, int sent, execution_t *execution, int64_t *changed) {
  int code = finish(conn, sent && PQsetSingleRowMode(conn->pg), execution);
  if (code == STORE_OK && changed != NULL)
    *changed = execution->changed;
  return code;
}

int pq_exec(pq_conn_t *conn, int which, const pq_params_t *params, pq_row_cb cb, void *arg, int64_t *changed,
            const char *what, store_error_t *error) {
  char name[16];
  execution_t execution = {.cb = cb, .arg = arg, .what = what, .error = error};
  if (params == NULL)
    params = &none;
  int code = prepare(conn, which, params, error);
  if (code == STORE_OK)
    code = stop_before(conn, what, error);
  if (code != STORE_OK)
    return code;
  int sent = PQsendQueryPrepared(conn->pg, name_of(which, name), params->count, params->values,
                                 params->lengths, binary, 1);
  return receive_rows(conn, sent, &execution, changed);
}

int pq_exec_sql(pq_conn_t *conn, const char *sql, const pq_params_t *params, pq_row_cb cb, void *arg,
                int64_t *changed, const char *what, store_error_t *error) {
  execution_t execution = {.cb = cb, .arg = arg, .what = what, .error = error};
  if (params == NULL)
    params = &none;
  int code = stop_before(conn, what, error);
  if (code != STORE_OK)
    return code;
  int sent = PQsendQueryParams(conn->pg, sql, params->count, params->types, params->values, params->lengths,
                               binary, 1);
  return receive_rows(conn, sent, &execution, changed);
}

int pq_update(pq_conn_t *conn, int which, const pq_params_t *params, const char *what, store_error_t *error) {
  return pq_exec(conn, which, params, NULL, NULL, NULL, what, error);
}

int pq_query_int(pq_conn_t *conn, const char *sql, int64_t *number, const char *what, store_error_t *error) {
  return pq_exec_sql(conn, sql, NULL, pq_read_int, number, NULL, what, error);
}

int pq_command(pq_conn_t *conn, const char *sql, const char *what, store_error_t *error) {
  execution_t execution = {.what = what, .error = error};
  return finish(conn, PQsendQuery(conn->pg, sql), &execution);
}

int pq_confirm(pq_conn_t *conn, store_error_t *error) {
  static const char writes[] =
      "SELECT pg_logical_emit_message(true, 'confirm', '')"; /* writes to the WAL only */
  if (conn->wrote && !conn->standby_wait_ended)
    return STORE_OK;
  conn->standby_wait_ended = false;
  int code = pq_command(conn, writes, "waiting for a standby", error);
  if (code != STORE_BUSY && !(code == STORE_OK && conn->standby_wait_ended))
    return code;
  error->brief = "no standby confirms commits";
  snprintf(error->text, sizeof error->text, "waiting for a standby: the wait was ended");
  return STORE_FAILED;
}

int pq_roll_back(pq_conn_t *conn, int code, const char *reason, store_error_t *error) {
  store_error_t other;
  conn->wrote = false;
  if (reason != NULL)
    snprintf(error->text, sizeof error->text, "%s", reason);
  execution_t execution = {.what = "rolling back", .error = &other};
  if (conn->pg != NULL && PQsendQuery(conn->pg, "ROLLBACK"))
    take_results(conn, &execution);
  return code;
}

int pq_no_memory(pq_conn_t *conn, store_error_t *error) {
  error->brief = "out of memory";
  return pq_roll_back(conn, STORE_FAILED, error->brief, error);
}

/* ---- Connecting ---- */

static bool is_alive(pq_conn_t *conn) {
  struct pollfd fd = {.fd = PQsocket(conn->pg), .events = POLLIN};
  if (poll(&fd, 1, 0) > 0) /* unsolicited input: a notice, or end of connection */
    return PQconsumeInput(conn->pg) && PQstatus(conn->pg) == CONNECTION_OK;
  return true;
}

/* Polls the connection until it is made. Returns STORE_OK, STORE_CANCELLED or STORE_FAILED. */
static int await_connection(pq_conn_t *conn, int64_t end_ms) {
  PostgresPollingStatusType status = PGRES_POLLING_WRITING;
  while (status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED) {
    int code = interrupt_code(conn, end_ms);
    if (code != STORE_OK)
      return code == STORE_CANCELLED ? code : STORE_FAILED;
    if (wait_for(conn, status == PGRES_POLLING_READING ? POLLIN : POLLOUT, end_ms))
      status = PQconnectPoll(conn->pg);
  }
  return status == PGRES_POLLING_OK ? STORE_OK : STORE_FAILED;
}

/* While connecting, libpq's message names the server but no cause: "connection to server … failed: ". */
static bool is_incomplete(const char *said) {
  size_t len = strcspn(said, "\n");
  while (len > 0 && said[len - 1] == ' ')
    len--;
  return len == 0 || said[len - 1] == ':';
}

static int describe_refusal(pq_conn_t *conn, const char *host, int64_t connect_timeout_ms,
                            store_error_t *error) {
  char timed_out[PQ_HOST_SIZE + 64];
  const char *said = PQerrorMessage(conn->pg);
  const char *sqlstate = "08000";
  snprintf(timed_out, sizeof timed_out, "no answer from %s within %.1f s", host,
           (double)connect_timeout_ms / 1000);
  if (strstr(said, "password authentication failed") != NULL ||
      strstr(said, "no pg_hba.conf entry") != NULL || strstr(said, "no password supplied") != NULL)
    sqlstate = "28000";
  else if (strstr(said, "database \"") != NULL && strstr(said, "does not exist") != NULL)
    sqlstate = "3D000";
  else if (strstr(said, "too many connections") != NULL || strstr(said, "too many clients") != NULL)
    sqlstate = "53300";
  else if (strstr(said, "session is read-only") != NULL)
    sqlstate = "25006";
  else if (is_incomplete(said))
    said = timed_out;
  return fail_as(sqlstate, "connecting to the database", said, error);
}

/* PostgreSQL reports a wait for a standby that was ended by a warning, in the server's language. */
static void on_notice(void *arg, const PGresult *result) {
  pq_conn_t *conn = arg;
  const char *function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);
  if (function == NULL || strcmp(function, "SyncRepWaitForLSN") != 0)
    return;
  conn->standby_wait_ended = true;
  mcp_log(MCP_LOG_WARN, "store", "PostgreSQL warns: %s", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
}

static int set_up_connection(pq_conn_t *conn, store_error_t *error) {
  char sql[sizeof session_settings + sizeof END_OLD_WAITS + 32];
  const char *encoding = PQparameterStatus(conn->pg, "server_encoding");
  PQsetNoticeReceiver(conn->pg, on_notice, conn);
  if (PQsetnonblocking(conn->pg, 1) != 0)
    return connection_lost(conn, "connecting to the database", error);
  if (encoding == NULL || strcmp(encoding, "UTF8") != 0) {
    error->brief = "the database's encoding is not UTF8";
    snprintf(error->text, sizeof error->text, "%s", error->brief);
    pq_disconnect(conn);
    return STORE_FAILED;
  }
  snprintf(sql, sizeof sql, "%s; " END_OLD_WAITS, session_settings, (long long)conn->statement_timeout_ms);
  return pq_command(conn, sql, "configuring the connection", error);
}

/* Copies item number of a comma-separated list, or its last item. */
static void copy_item(const char *list, int number, char item[PQ_HOST_SIZE]) {
  for (const char *comma; number > 0 && (comma = strchr(list, ',')) != NULL; number--)
    list = comma + 1;
  snprintf(item, PQ_HOST_SIZE, "%.*s", (int)strcspn(list, ","), list);
}

/* Connects to one of the hosts. Of several hosts it must be one that accepts writes. */
static int connect_to(pq_conn_t *conn, const pq_conninfo_t *conninfo, int number, bool several,
                      store_error_t *error) {
  char host[PQ_HOST_SIZE], port[PQ_HOST_SIZE];
  copy_item(conninfo->host, number, host);
  copy_item(conninfo->port, number, port);
  const char *const names[] = {"host",
                               "port",
                               "dbname",
                               "user",
                               "password",
                               "client_encoding",
                               "application_name",
                               "keepalives_idle",
                               "tcp_user_timeout",
                               "target_session_attrs",
                               NULL};
  const char *const values[] = {host,
                                port,
                                conninfo->name,
                                conninfo->user,
                                conninfo->password,
                                "UTF8",
                                conn->spec->name,
                                "10",
                                "20000",
                                several ? "read-write" : NULL,
                                NULL};
  conn->pg = PQconnectStartParams(names, values, 0);
  int64_t connect_timeout_ms = several ? CONNECT_EACH_MS : CONNECT_MS;
  bool begun = conn->pg != NULL && PQstatus(conn->pg) != CONNECTION_BAD;
  int code = begun ? await_connection(conn, monotonic_ms() + connect_timeout_ms) : STORE_FAILED;
  if (code == STORE_OK)
    return set_up_connection(conn, error);
  if (code == STORE_CANCELLED)
    return interrupted(conn, code, "connecting to the database", error);
  code = describe_refusal(conn, host, connect_timeout_ms, error);
  pq_disconnect(conn);
  return code;
}

int pq_connect(pq_conn_t *conn, const pq_conninfo_t *conninfo, store_error_t *error) {
  int hosts = 1, code = STORE_FAILED, first = conn->host;
  if (conn->pg != NULL && is_alive(conn))
    return STORE_OK;
  pq_disconnect(conn);
  for (const char *comma = conninfo->host; (comma = strchr(comma, ',')) != NULL; comma++)
    hosts++;
  conn->statement_timeout_ms =
      conninfo->statement_timeout_ms != 0 ? conninfo->statement_timeout_ms : STATEMENT_MS;
  for (int i = 0; i < hosts && code != STORE_OK && code != STORE_CANCELLED; i++) {
    conn->host = (first + i) % hosts;
    code = connect_to(conn, conninfo, conn->host, hosts > 1, error);
  }
  return code;
}

/* ---- Values ---- */

mcp_text_t pq_text(const PGresult *result, int column) {
  if (PQgetisnull(result, 0, column))
    return (mcp_text_t){NULL, 0};
  return (mcp_text_t){PQgetvalue(result, 0, column), (size_t)PQgetlength(result, 0, column)};
}

mcp_text_t pq_json(const PGresult *result, int column) {
  mcp_text_t text = pq_text(result, column);
  return text.ptr != NULL && text.len > 0 ? (mcp_text_t){text.ptr + 1, text.len - 1}
                                          : text; /* after the version byte of jsonb */
}

int64_t pq_int(const PGresult *result, int column) {
  uint64_t wire = 0;
  uint32_t half;
  if (PQgetlength(result, 0, column) == (int)sizeof half) {
    memcpy(&half, PQgetvalue(result, 0, column), sizeof half);
    return (int32_t)be32toh(half);
  }
  if (PQgetlength(result, 0, column) == (int)sizeof wire)
    memcpy(&wire, PQgetvalue(result, 0, column), sizeof wire);
  return (int64_t)be64toh(wire);
}

double pq_double(const PGresult *result, int column) {
  int64_t bits = pq_int(result, column);
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

bool pq_bool(const PGresult *result, int column) {
  return PQgetlength(result, 0, column) == 1 && *PQgetvalue(result, 0, column) != 0;
}

int64_t pq_time(const PGresult *result, int column) {
  return pq_time_decode(pq_int(result, column));
}

bool pq_id(const PGresult *result, int column, char id[MCP_UUID_SIZE]) {
  if (PQgetlength(result, 0, column) != ID_BYTES)
    return false;
  id_from_bytes((const unsigned char *)PQgetvalue(result, 0, column), id);
  return true;
}

enum pq_row pq_read_int(const PGresult *result, void *arg) {
  *(int64_t *)arg = pq_int(result, 0);
  return PQ_ROW_STOP;
}
