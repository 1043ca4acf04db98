/* sqlite_schema.c: see sqlite_schema.h.
 *
 * Each step brings the schema from one version to the next; a new database takes all of them. The version
 * stands in the file's header (user_version), beside a mark that the file is ours (application_id). Steps are
 * never changed once they were released: what is to be different is a step more. */
#include "sqlite_schema.h"

#include <iccm_network.h>
#include <stddef.h>

/* created_at is in microseconds and id in its 16 bytes.
 *
 * Logs: every index but the key ends with (created_at, id), the order of all answers. logs_level and
 * logs_component serve "this level or above" as one short scan for each level. The text index holds no copy
 * of the messages; it gets their first 64 KiB, and a word for each value in their data (json_words.h).
 *
 * Conversations: messages and conversations are joined by seq, the row's number; a conversation's messages
 * stand together and in order in the index of their key. Roles are numbers (enum message_role). The text
 * index holds no copy either, but the lengths that ranking needs. */
static const char *const steps[] = {
    /* 1: logs */
    "CREATE TABLE logs("
    " seq INTEGER PRIMARY KEY,"
    " id BLOB NOT NULL,"
    " created_at INTEGER NOT NULL,"
    " level INTEGER NOT NULL CHECK(level BETWEEN 0 AND 4),"
    " component TEXT NOT NULL,"
    " message TEXT NOT NULL,"
    " trace_id TEXT,"
    " data TEXT,"
    " UNIQUE(id, created_at));"
    "CREATE INDEX logs_time ON logs(created_at, id);"
    "CREATE INDEX logs_level ON logs(level, created_at, id);"
    "CREATE INDEX logs_component ON logs(component, level, created_at, id);"
    "CREATE INDEX logs_trace ON logs(trace_id, created_at, id) WHERE trace_id IS NOT NULL;"
    "CREATE VIRTUAL TABLE logs_text USING fts5(message, content='', columnsize=0);",
    /* 2: conversations and startup contexts */
    "CREATE TABLE conversations("
    " seq INTEGER PRIMARY KEY,"
    " id BLOB NOT NULL UNIQUE,"
    " session_id TEXT,"
    " metadata TEXT,"
    " created_at INTEGER NOT NULL,"
    " updated_at INTEGER NOT NULL);"
    "CREATE INDEX conversations_created ON conversations(created_at, id);"
    "CREATE INDEX conversations_updated ON conversations(updated_at, id);"
    "CREATE INDEX conversations_session ON conversations(session_id, created_at, id)"
    " WHERE session_id IS NOT NULL;"
    "CREATE TABLE messages("
    " seq INTEGER PRIMARY KEY,"
    " id BLOB NOT NULL UNIQUE,"
    " conversation INTEGER NOT NULL REFERENCES conversations(seq),"
    " turn INTEGER NOT NULL,"
    " role INTEGER NOT NULL CHECK(role BETWEEN 0 AND 3),"
    " created_at INTEGER NOT NULL,"
    " metadata TEXT,"
    " content TEXT NOT NULL,"
    " UNIQUE(conversation, turn));"
    "CREATE VIRTUAL TABLE messages_text USING fts5(content, content='');"
    "CREATE TABLE startup_contexts("
    " seq INTEGER PRIMARY KEY,"
    " id BLOB NOT NULL UNIQUE,"
    " name TEXT NOT NULL UNIQUE,"
    " is_active INTEGER NOT NULL,"
    " created_at INTEGER NOT NULL,"
    " updated_at INTEGER NOT NULL,"
    " content TEXT NOT NULL);"
    "CREATE UNIQUE INDEX startup_contexts_active ON startup_contexts(is_active) WHERE is_active;",
    /* 3: what data holds, among the words */
    "DROP TABLE logs_text;"
    "CREATE VIRTUAL TABLE logs_text USING fts5(message, content='', columnsize=0);"
    "INSERT INTO logs_text(rowid, message)"
    " SELECT seq, CAST(substr(CAST(message AS BLOB), 1, 65536) AS TEXT) || json_words(data) FROM logs;",
};

enum { VERSION = sizeof steps / sizeof steps[0] };

static int pragma_int(sqlite3 *db, const char *sql, int *value) {
  sqlite3_stmt *statement;
  int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  if (code != SQLITE_OK)
    return code;
  if (sqlite3_step(statement) == SQLITE_ROW)
    *value = sqlite3_column_int(statement, 0);
  return sqlite3_finalize(statement);
}

/* Runs the steps that a file of this version lacks. */
static int bring_up(sqlite3 *db, int version) {
  int code = SQLITE_OK;
  if (version > 0)
    mcp_log(MCP_LOG_WARN, "store",
            "bringing the database up to date; with millions of lines this takes minutes");
  for (; version < VERSION && code == SQLITE_OK; version++)
    code = sqlite3_exec(db, steps[version], NULL, NULL, NULL);
  char sql[96];
  sqlite3_snprintf(sizeof sql, sql, "PRAGMA application_id = %d; PRAGMA user_version = %d",
                   SCHEMA_APPLICATION_ID, VERSION);
  return code == SQLITE_OK ? sqlite3_exec(db, sql, NULL, NULL, NULL) : code;
}

int schema_make(sqlite3 *db, const char **refused) {
  int version = 0, application = 0, tables = 0;
  int code = pragma_int(db, "PRAGMA user_version", &version);
  if (code == SQLITE_OK)
    code = pragma_int(db, "PRAGMA application_id", &application);
  if (code == SQLITE_OK)
    code = pragma_int(db, "SELECT count(*) FROM sqlite_schema", &tables);
  if (code != SQLITE_OK)
    return code;
  bool ours = application == SCHEMA_APPLICATION_ID && version > 0;
  if (ours && version > VERSION)
    *refused = "the database was made by a newer version of Dewey";
  else if (!ours && (application != 0 || version != 0 || tables != 0))
    *refused = "the database was made by another program";
  if (*refused != NULL)
    return SQLITE_ERROR;
  return version == VERSION ? SQLITE_OK : bring_up(db, version);
}
