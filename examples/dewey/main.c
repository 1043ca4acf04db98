/* main.c: dewey, the store of logs and conversations: settings from the environment, store, retention,
 * server.
 *
 * Exit status: 0 after SIGTERM or SIGINT; 1, with one line on stderr, if a setting is invalid, the
 * database cannot be opened or the port is in use; 2 for invalid arguments. */
#include "database.h"
#include "retention.h"
#include "tools.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: dewey [--help] [--version] [--resume-retention]\n"
    "\n"
    "Stores log lines and conversations and searches them, as an MCP server over WebSocket.\n"
    "--resume-retention: confirms that this machine's clock is right, and resumes the removal of\n"
    "old log lines.\n"
    "\n"
    "Environment:\n"
    "  DEWEY_MCP_PORT          port to listen on; 0 picks a free one (9020)\n"
    "  DEWEY_DB_PATH           SQLite's database file (dewey.db in the data directory)\n"
    "  DEWEY_DB_HOST           PostgreSQL's hosts, a,b, or the directory of its socket, instead of "
    "SQLite (none)\n"
    "  DEWEY_DB_PORT           its port, or one for each host (5432)\n"
    "  DEWEY_DB_NAME           the database (dewey)\n"
    "  DEWEY_DB_USER           the user (dewey)\n"
    "  DEWEY_DB_PASSWORD       the password (none)\n"
    "  DEWEY_DB_TIMEOUT        time limit of a write to PostgreSQL and its standby, in s (30)\n"
    "  ICCM_DATA               data directory, created if it is missing (./data)\n"
    "  DEWEY_IMPORT_PATHS      directories of files for messages_file: /a:/b (none)\n"
    "  LOG_RETENTION_DAYS      log lines older than this are removed (7)\n"
    "  ICCM_MAX_MESSAGE_BYTES  size of the largest message accepted (209715200)\n"
    "  GODOT_URL               Godot, which receives this server's log lines (ws://godot-mcp:9060,\n"
    "                          or ws://localhost:9060 if that name is unknown)\n"
    "  LOGGING_ENABLED         false: log to stderr only (true)\n"
    "and the variables of every component: ICCM_..., LOG_LEVEL.\n";

enum { MAX_MESSAGE_BYTES = 200 * 1024 * 1024, WORK_BYTES = 8 * 1024 * 1024 /* the largest batch */ };

typedef struct settings {
  int64_t port, retention_days, max_message_bytes;
  bool retention_is_set;
  database_t database;
  const char *import_paths;
} settings_t;

static bool read_settings(settings_t *settings) {
  settings->retention_is_set = mcp_env_text("LOG_RETENTION_DAYS", NULL) != NULL;
  return mcp_env_directories("DEWEY_IMPORT_PATHS", &settings->import_paths) == 0 &&
         mcp_env_int("DEWEY_MCP_PORT", 9020, 0, 65535, &settings->port) == 0 &&
         mcp_env_int("LOG_RETENTION_DAYS", 7, 1, 36500, &settings->retention_days) == 0 &&
         mcp_env_int("ICCM_MAX_MESSAGE_BYTES", MAX_MESSAGE_BYTES, 1024, MAX_MESSAGE_BYTES,
                     &settings->max_message_bytes) == 0 &&
         database_from_env(&settings->database, "DEWEY", NULL);
}

/* For Godot, which is ready when its store is; an open connection alone does not show that. */
static void on_ready(mcp_call_t *call, yyjson_val *args, void *arg) {
  static const char ready[] = "{\"ready\":true}";
  dewey_t *dewey = arg;
  const char *reason = health_failure(&dewey->health);
  (void)args;
  if (reason == NULL)
    mcp_call_reply_text(call, ready, sizeof ready - 1);
  else
    mcp_call_tool_error(call, "%s", reason);
}

/* Serves until a signal. Returns 0, MCP_ETIMEOUT if a handler is still running, or another error code;
 * logs errors. */
static int serve(const settings_t *settings, dewey_t *dewey) {
  mcp_tool_t tools[DEWEY_TOOLS + 1];
  dewey_tools(dewey, tools);
  mcp_server_t *server = mcp_server_new("dewey", DEWEY_VERSION, (int)settings->port, tools);
  if (server == NULL)
    return MCP_ESTATE; /* logged by the library */
  const mcp_tool_t ready = {"dewey_ready", "Whether the store works",
                            NULL,          on_ready,
                            dewey,         MCP_TOOL_LOG_TRAFFIC | MCP_TOOL_UNLISTED};
  int code = mcp_server_add_tool(server, &ready);
  if (code == 0)
    code = mcp_server_set_max_message_bytes(server, (size_t)settings->max_message_bytes);
  metrics_init(&dewey->metrics, server);
  health_set_server(&dewey->health, server);
  maintenance_t *retention = retention_start(dewey); /* it uses the metrics, so the server outlives it */
  maintenance_t *indexing = indexing_start(dewey);
  if (retention == NULL || indexing == NULL)
    mcp_log(MCP_LOG_ERROR, "dewey", "cannot start the threads for retention and indexing");
  if (code == 0)
    code = retention != NULL && indexing != NULL ? mcp_server_run(server) : MCP_ESTATE;
  bool ended = maintenance_stop(indexing);
  if (!maintenance_stop(retention) || !ended) { /* a callback still uses server and store: leave them */
    if (code != 0 && code != MCP_ETIMEOUT)
      exit(1);
    return MCP_ETIMEOUT;
  }
  health_set_server(&dewey->health, NULL); /* a handler that is still running may report later */
  mcp_server_free(server);
  return code;
}

/* Returns NULL after logging the error. */
static store_t *open_store(const settings_t *settings) {
  store_error_t error;
  char shown[MCP_SHOWN_SIZE];
  const database_t *database = &settings->database;
  store_t *store = database->postgresql.host != NULL ? store_pq_open(&database->postgresql, &error)
                                                     : store_sqlite_open(database->path, &error);
  if (store == NULL)
    mcp_log(MCP_LOG_ERROR, "dewey", "the database \"%s\" cannot be used: %s",
            database_redacted(database, shown), error.text);
  return store;
}

static int run(const settings_t *settings) {
  static dewey_t dewey; /* static: a handler may outlive the server, see below */
  atomic_init(&dewey.last_retention_us, INT64_MIN);
  dewey.retention_days = settings->retention_days;
  dewey.retention_is_set = settings->retention_is_set;
  dewey.import_paths = settings->import_paths;
  health_init(&dewey.health, "dewey", WORK_BYTES, settings->database.postgresql.host == NULL);
  dewey.store = open_store(settings);
  if (dewey.store == NULL)
    return 1;
  int code = serve(settings, &dewey);
  if (code == MCP_ETIMEOUT) { /* committed data is durable; the next start rolls back the rest */
    mcp_log(MCP_LOG_WARN, "dewey", "exiting while a store operation is still running");
    return 0;
  }
  dewey.store->close(dewey.store);
  return code == 0 ? 0 : 1;
}

/* Confirms the clock: a Dewey that holds the removal of old lines resumes it within a second. */
static int resume_retention(const settings_t *settings) {
  const cancel_token_t never = CANCEL_NEVER;
  store_error_t error;
  store_t *store = open_store(settings);
  if (store == NULL)
    return 1;
  int code = store->check(store, 0, never, &error);
  if (code == STORE_OK)
    code = store->begin_retention(store, mcp_time_now_us(), never, &error);
  if (code == STORE_OK)
    printf("log lines older than %lld days are removed by this machine's clock\n",
           (long long)settings->retention_days);
  else
    mcp_log(MCP_LOG_ERROR, "dewey", "cannot resume the retention: %s", error.text);
  store->close(store);
  return code == STORE_OK ? 0 : 1;
}

int main(int argc, char **argv) {
  static settings_t settings;
  bool resumes = argc == 2 && strcmp(argv[1], "--resume-retention") == 0;
  int status = resumes ? -1 : mcp_service_command_line(argc, argv, "dewey", DEWEY_VERSION, help);
  if (status >= 0)
    return status;
  signal(SIGXFSZ, SIG_IGN); /* an exceeded file size limit is then handled like a full disk */
  if (!read_settings(&settings))
    return 1;
  return resumes ? resume_retention(&settings) : run(&settings);
}
