/* main.c: horace, the catalogue of files: settings from the environment, storage, database, server; or the
 * command scan.
 *
 * Exit status: 0 after SIGTERM or SIGINT; 1, with one line on stderr, if a setting is invalid, the storage
 * or the database cannot be opened, or the port is in use; 2 for invalid arguments. */
#include "database.h"
#include "files.h"
#include "maintenance.h"
#include "scan.h"
#include "tools.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROBE_BYTES = 1024 * 1024 /* more than any change of the catalogue writes */ };

static const char help[] =
    "usage: horace [--help] [--version] [--resume-retention]\n"
    "       horace scan [--dry-run] [URL]\n"
    "\n"
    "Keeps a catalogue of files and of their versions, as an MCP server over WebSocket.\n"
    "scan: registers files that are missing in the catalogue, through the Horace at URL\n"
    "(ws://localhost:HORACE_MCP_PORT).\n"
    "--resume-retention: confirms that this machine's clock is right, and resumes the removal of\n"
    "deleted files.\n"
    "\n"
    "Environment:\n"
    "  HORACE_MCP_PORT        port to listen on; 0 picks a free one (8070)\n"
    "  HORACE_STORAGE_PATH    directory with files/, created if it is missing\n"
    "  HORACE_VERSION_COUNT   number of versions kept of each file, 2 to 1000 (5)\n"
    "  HORACE_DB_PATH         SQLite's database file (horace.db in the storage directory)\n"
    "  HORACE_DB_HOST         PostgreSQL's hosts, a,b, or the directory of its socket, instead of "
    "SQLite (none)\n"
    "  HORACE_DB_PORT         its port, or one for each host (5432)\n"
    "  HORACE_DB_NAME         the database (horace)\n"
    "  HORACE_DB_USER         the user (horace)\n"
    "  HORACE_DB_PASSWORD     the password (none)\n"
    "  HORACE_DB_TIMEOUT      time limit of a write to PostgreSQL and its standby, in s (30)\n"
    "  GODOT_URL              Godot, which receives this server's log lines (ws://godot-mcp:9060,\n"
    "                         or ws://localhost:9060 if that name is unknown)\n"
    "  LOGGING_ENABLED        false: log to stderr only (true)\n"
    "and the variables of every component: ICCM_..., LOG_LEVEL.\n";

typedef struct settings {
  int64_t port, versions;
  const char *storage;
  database_t database;
} settings_t;

static bool read_settings(settings_t *settings) {
  settings->storage = mcp_env_text("HORACE_STORAGE_PATH", NULL);
  if (settings->storage == NULL) {
    mcp_log(MCP_LOG_ERROR, "horace", "HORACE_STORAGE_PATH is not set: a directory for the files is needed");
    return false;
  }
  return mcp_env_int("HORACE_MCP_PORT", 8070, 0, 65535, &settings->port) == 0 &&
         mcp_env_int("HORACE_VERSION_COUNT", 5, 2, 1000, &settings->versions) == 0 &&
         database_from_env(&settings->database, "HORACE", settings->storage);
}

/* ---- Looking after what is stored ---- */

typedef struct maintenance_state {
  horace_t *horace;
  mcp_server_t *server;
  int failing; /* -errno of the storage, as last reported to the server */
} maintenance_state_t;

static bool check_storage(maintenance_state_t *maintenance_state) {
  int failing = storage_check(&maintenance_state->horace->storage);
  if (failing != maintenance_state->failing) {
    mcp_server_set_dependency(maintenance_state->server, "storage",
                              failing != 0 ? storage_strerror(failing) : NULL);
    if (failing != 0)
      mcp_log(MCP_LOG_WARN, "storage", "cannot write to the storage: %s", storage_strerror(failing));
  }
  maintenance_state->failing = failing;
  return failing == 0;
}

static int check_database(void *arg, size_t free_bytes, cancel_token_t cancel, store_error_t *error) {
  return db_check(arg, free_bytes, cancel, error);
}

static bool on_check(void *arg, cancel_token_t cancel) {
  maintenance_state_t *maintenance_state = arg;
  horace_t *horace = maintenance_state->horace;
  bool storage = check_storage(maintenance_state);
  bool database = health_check(&horace->health, check_database, horace->db, cancel);
  if (storage && database)
    staging_recover_all(horace, cancel);
  return storage && database;
}

static bool on_run(void *arg, cancel_token_t cancel) {
  maintenance_state_t *maintenance_state = arg;
  return files_purge(maintenance_state->horace, cancel);
}

/* ---- Serving ---- */

/* Serves until a signal. Returns 0, MCP_ETIMEOUT if a handler is still running, or another error code. */
static int serve(const settings_t *settings, horace_t *horace) {
  mcp_tool_t tools[HORACE_TOOLS + 1];
  horace_tools(horace, tools);
  mcp_server_t *server = mcp_server_new("horace", HORACE_VERSION, (int)settings->port, tools);
  if (server == NULL)
    return MCP_ESTATE; /* logged by the library */
  maintenance_state_t maintenance_state = {horace, server, 0};
  const maintenance_config_t spec = {on_check, on_run, &maintenance_state};
  metrics_init(&horace->metrics, server);
  health_set_server(&horace->health, server);
  maintenance_t *maintenance = maintenance_start(&spec); /* it uses the metrics, so the server outlives it */
  if (maintenance == NULL)
    mcp_log(MCP_LOG_ERROR, "horace", "cannot start the maintenance thread");
  int code = maintenance != NULL ? mcp_server_run(server) : MCP_ESTATE;
  if (!maintenance_stop(maintenance)) { /* a callback still uses server and store: leave them */
    if (code != 0 && code != MCP_ETIMEOUT)
      exit(1);
    return MCP_ETIMEOUT;
  }
  health_set_server(&horace->health, NULL); /* a handler that is still running may report later */
  mcp_server_free(server);
  return code;
}

static db_t *open_database(const database_t *database) {
  store_error_t error;
  char shown[MCP_SHOWN_SIZE];
  db_t *db = database->postgresql.host != NULL ? db_open_pq(&database->postgresql, &catalogue_spec, &error)
                                               : db_open_sqlite(database->path, &catalogue_spec, &error);
  if (db == NULL)
    mcp_log(MCP_LOG_ERROR, "horace", "the database \"%s\" cannot be used: %s",
            database_redacted(database, shown), error.text);
  return db;
}

static int serve_opened(const settings_t *settings, horace_t *horace) {
  horace->db = open_database(&settings->database);
  int code = horace->db != NULL ? serve(settings, horace) : MCP_ESTATE;
  if (code == MCP_ETIMEOUT)
    return code;
  db_close(horace->db);
  storage_close(&horace->storage);
  return code;
}

static int run(const settings_t *settings) {
  static horace_t horace; /* static: a handler may outlive the server, see below */
  horace.versions = (int)settings->versions;
  health_init(&horace.health, "horace", PROBE_BYTES, settings->database.postgresql.host == NULL);
  lock_table_init(&horace.locks);
  if (!mime_open(&horace.mime_detector))
    return 1;
  int code = storage_open(&horace.storage, settings->storage) ? serve_opened(settings, &horace) : MCP_ESTATE;
  if (code == MCP_ETIMEOUT) { /* the next start recovers pending changes */
    mcp_log(MCP_LOG_WARN, "horace", "exiting while an operation on the storage is still running");
    return 0;
  }
  mime_close(&horace.mime_detector);
  lock_table_deinit(&horace.locks);
  return code == 0 ? 0 : 1;
}

/* Confirms the clock: a Horace that holds the removal of deleted files resumes it within a second. */
static int resume_retention(const settings_t *settings) {
  store_error_t error;
  db_t *db = open_database(&settings->database);
  if (db == NULL)
    return 1;
  int code = db_check(db, 0, (cancel_token_t){NULL, NULL}, &error);
  if (code == STORE_OK)
    code = catalogue_begin_retention(db, mcp_time_now_us(), CANCEL_NEVER, &error);
  if (code == STORE_OK)
    printf("files deleted 30 days ago are removed by this machine's clock\n");
  else
    mcp_log(MCP_LOG_ERROR, "horace", "cannot resume the retention: %s", error.text);
  db_close(db);
  return code == STORE_OK ? 0 : 1;
}

int main(int argc, char **argv) {
  static settings_t settings;
  if (argc > 1 && strcmp(argv[1], "scan") == 0)
    return scan_main(argc - 1, argv + 1);
  bool resumes = argc == 2 && strcmp(argv[1], "--resume-retention") == 0;
  int status = resumes ? -1 : mcp_service_command_line(argc, argv, "horace", HORACE_VERSION, help);
  if (status >= 0)
    return status;
  signal(SIGXFSZ, SIG_IGN); /* an exceeded file size limit is then handled like a full disk */
  if (!read_settings(&settings))
    return 1;
  return resumes ? resume_retention(&settings) : run(&settings);
}
