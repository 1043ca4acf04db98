/* sqlite_schema.c: see sqlite_schema.h. */
#include "sqlite_schema.h"

/* created_at is in microseconds; id has 16 bytes.
 *
 * Logs: every index except the key ends with (created_at, id), the order of all results. logs_level and
 * logs_component serve a minimum level as one short scan for each level. The text index holds no copy of
 * the messages, only their words (words.h) and a term for each value in their data (json_terms.h). seq
 * numbers the lines by arrival; log_state.highest_seq is at least that of every deleted line. retention_at
 * starts as the newest line's time if older versions have not stored it.
 *
 * Conversations: messages refer to conversations by seq; the index of their key has a conversation's
 * messages together and in order. Roles are numbers (enum message_role). This text index also holds no
 * copy, only the lengths for the ranking. */
const char *const sqlite_steps[SQLITE_STEPS] = {
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
    /* 3: terms of data among the words */
    "DROP TABLE logs_text;"
    "CREATE VIRTUAL TABLE logs_text USING fts5(message, content='', columnsize=0);"
    "INSERT INTO logs_text(rowid, message)"
    " SELECT seq, CAST(substr(CAST(message AS BLOB), 1, 65536) AS TEXT) || json_words(data) FROM logs;",
    /* 4: numbers of lines are never reused; time of the last retention */
    "CREATE TABLE log_state("
    " one INTEGER PRIMARY KEY CHECK(one = 1),"
    " highest_seq INTEGER NOT NULL,"
    " retention_at INTEGER);"
    "INSERT INTO log_state SELECT 1, coalesce(max(seq), 0), "
    " min(max(created_at), CAST(strftime('%s') AS INTEGER) * 1000000) FROM logs;",
    /* 5: words as in words.h; existing rows are indexed later (sqlite_words.h) */
    "CREATE VIRTUAL TABLE logs_words USING fts5(words, content='', columnsize=0, tokenize='ascii');"
    "CREATE VIRTUAL TABLE messages_words USING fts5(words, content='', tokenize='ascii');"
    "CREATE TABLE words_state("
    " one INTEGER PRIMARY KEY CHECK(one = 1),"
    " old_lines INTEGER NOT NULL,"
    " old_messages INTEGER NOT NULL);"
    "INSERT INTO words_state SELECT 1, (SELECT coalesce(max(seq), 0) FROM logs),"
    " (SELECT coalesce(max(seq), 0) FROM messages);",
};
