/* sqlite_conn.c: see sqlite_conn.h.
 *
 * Opening: remove the access of other users, configure the connection (WAL, synchronous=FULL: committed
 * means durable), then, as the writer, migrate the schema in one transaction (sqlite_migrate.c). Two
 * programs may do this at once: the second waits and finds the schema up to date. Fails, without changing
 * the file, if it cannot be opened or written, is no database, or belongs to another program or a newer
 * version.
 *
 * A commit to a file that was removed or replaced would be lost at the next start: a commit hook checks
 * that the file and its journal are still at their paths, and otherwise fails the commit.
 *
 * After a failed statement the connection stays usable: the transaction is rolled back and the next call
 * begins a new one. A store with a full disk therefore recovers once there is room. */
#include "sqlite_conn.h"
#include "monotonic.h"
#include "sqlite_migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
  BUSY_MS = 5000, /* wait for other writing processes */
  WRITER_CACHE_KIB = 64 * 1024,
  READER_CACHE_KIB = 8 * 1024,
  OPS_BETWEEN_CHECKS = 20000 /* virtual machine instructions, about 1 ms */
};

static const char *const transaction_sql[SQLITE_CONN_STATEMENTS] = {[SQLITE_CONN_BEGIN_WRITE] =
                                                                        "BEGIN IMMEDIATE",
                                                                    [SQLITE_CONN_BEGIN_READ] = "BEGIN",
                                                                    [SQLITE_CONN_COMMIT] = "COMMIT",
                                                                    [SQLITE_CONN_ROLLBACK] = "ROLLBACK"};

/* ---- One connection ---- */

bool sqlite_conn_interrupted(sqlite_conn_t *conn) {
  if (cancel_requested(conn->cancel))
    conn->interrupt_code = STORE_CANCELLED;
  else if (conn->deadline_ms != 0 && monotonic_ms() >= conn->deadline_ms)
    conn->interrupt_code = STORE_TIMEOUT;
  return conn->interrupt_code != STORE_OK;
}

/* Another process holds the lock: retry for BUSY_MS. */
static int on_busy(void *arg, int times) {
  enum { FIRST_MS = 1, DOUBLED_MAX = 6 }; /* up to 64 ms */
  sqlite_conn_t *conn = arg;
  if (times == 0)
    conn->busy_until_ms = monotonic_ms() + BUSY_MS;
  if (sqlite_conn_interrupted(conn) || monotonic_ms() >= conn->busy_until_ms)
    return 0;
  sqlite3_sleep(FIRST_MS << (times < DOUBLED_MAX ? times : DOUBLED_MAX));
  return 1;
}

static int on_progress(void *arg) {
  return sqlite_conn_interrupted(arg);
}

static int describe_moved(const char *what, store_error_t *error) {
  error->brief = "the database file was removed or replaced";
  sqlite3_snprintf(sizeof error->text, error->text, "%s: %s (put it back, or restart)", what, error->brief);
  return STORE_FAILED;
}

/* Limits bytes to a part of the file system's size. */
static off_t limit_to_disk(int file, size_t bytes) {
  enum { PART = 8 };
  struct statvfs disk;
  uint64_t most = fstatvfs(file, &disk) == 0 ? (uint64_t)disk.f_blocks * disk.f_frsize / PART : bytes;
  return (off_t)(bytes < most ? bytes : most);
}

/* Tries to allocate so many bytes in a file beside the database. Returns 0 or errno. */
static int try_allocate(sqlite3 *db, size_t bytes) {
  char path[4096];
  const char *beside = sqlite3_db_filename(db, "main");
  if (beside == NULL) /* the file could not be opened */
    return ENOENT;
  sqlite3_snprintf(sizeof path, path, "%s-room", beside);
  int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  int failure = file >= 0 ? posix_fallocate(file, 0, limit_to_disk(file, bytes)) : errno;
  if (file >= 0) {
    unlink(path);
    close(file);
  }
  return failure;
}

static bool is_disk_full_errno(int failure) {
  return failure == ENOSPC || failure == EDQUOT || failure == EFBIG;
}

/* On a full disk SQLite reports either that or, without the cause, a failed write, open or resize. */
static bool is_full(sqlite3 *db) {
  enum { LITTLE = 64 * 1024 };
  switch (sqlite3_extended_errcode(db)) {
  case SQLITE_FULL:
    return true;
  case SQLITE_CANTOPEN:
  case SQLITE_IOERR_WRITE:
  case SQLITE_IOERR_FSYNC:
  case SQLITE_IOERR_SHMSIZE:
  case SQLITE_IOERR_SHMOPEN:
    return is_disk_full_errno(try_allocate(db, LITTLE));
  default:
    return false;
  }
}

static const char *brief_error(sqlite3 *db) {
  return is_full(db) ? STORE_DISK_FULL : sqlite3_errstr(sqlite3_errcode(db));
}

static int describe(sqlite_conn_t *conn, const char *what, store_error_t *error) {
  sqlite3_snprintf(sizeof error->text, error->text, "%s: %s (%d)", what, sqlite3_errmsg(conn->db),
                   sqlite3_extended_errcode(conn->db));
  error->brief = brief_error(conn->db);
  conn->failure = sqlite3_extended_errcode(conn->db);
  if (conn->failure == SQLITE_CONSTRAINT_COMMITHOOK)
    return describe_moved(what, error);
  int code = sqlite3_errcode(conn->db);
  if ((code == SQLITE_INTERRUPT || code == SQLITE_BUSY) && conn->interrupt_code != STORE_OK)
    return conn->interrupt_code;
  if (code == SQLITE_TOOBIG || code == SQLITE_MISMATCH)
    return STORE_INVALID;
  return code == SQLITE_BUSY || code == SQLITE_LOCKED ? STORE_BUSY : STORE_FAILED;
}

int sqlite_conn_fail(sqlite_conn_t *conn, const char *what, store_error_t *error) {
  int code = describe(conn, what, error);
  if (!sqlite3_get_autocommit(conn->db))
    sqlite_conn_run(conn, SQLITE_CONN_ROLLBACK);
  return code;
}

sqlite3_stmt *sqlite_conn_prepare(sqlite_conn_t *conn, sqlite3_stmt **slot, const char *sql) {
  if (*slot == NULL)
    sqlite3_prepare_v3(conn->db, sql, -1, SQLITE_PREPARE_PERSISTENT, slot, NULL);
  return *slot;
}

sqlite3_stmt *sqlite_conn_statement(sqlite_conn_t *conn, int which) {
  return sqlite_conn_prepare(conn, &conn->prepared[which], conn->spec->statements[which]);
}

void sqlite_conn_reset(sqlite3_stmt *statement) {
  if (statement == NULL)
    return;
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
}

int sqlite_conn_run(sqlite_conn_t *conn, enum sqlite_conn_statement_id which) {
  sqlite3_stmt *statement = sqlite_conn_prepare(conn, &conn->transaction[which], transaction_sql[which]);
  if (statement == NULL)
    return sqlite3_errcode(conn->db);
  sqlite3_step(statement);
  return sqlite3_reset(statement);
}

int sqlite_conn_exec(sqlite_conn_t *conn, sqlite3_stmt *statement, sqlite_row_cb cb, void *arg,
                     const char *what, store_error_t *error) {
  int step = SQLITE_ERROR;
  enum sqlite_row row = SQLITE_ROW_CONTINUE;
  while (statement != NULL && row == SQLITE_ROW_CONTINUE && (step = sqlite3_step(statement)) == SQLITE_ROW)
    row = cb(statement, arg);
  bool fine = row == SQLITE_ROW_STOP || (row == SQLITE_ROW_CONTINUE && step == SQLITE_DONE);
  int code = fine ? STORE_OK : sqlite_conn_fail(conn, what, error);
  sqlite_conn_reset(statement);
  return code;
}

static enum sqlite_row on_no_row(sqlite3_stmt *statement, void *arg) {
  (void)statement, (void)arg;
  return SQLITE_ROW_CONTINUE;
}

int sqlite_conn_update(sqlite_conn_t *conn, sqlite3_stmt *statement, const char *what, store_error_t *error) {
  return sqlite_conn_exec(conn, statement, on_no_row, NULL, what, error);
}

/* ---- Values ---- */

void sqlite_bind_id(sqlite3_stmt *statement, int index, const char *id) {
  unsigned char bytes[ID_BYTES];
  id_to_bytes(id, bytes);
  sqlite3_bind_blob(statement, index, bytes, sizeof bytes, SQLITE_TRANSIENT);
}

bool sqlite_column_id(sqlite3_stmt *statement, int column, char id[MCP_UUID_SIZE]) {
  const unsigned char *bytes = sqlite3_column_blob(statement, column);
  if (sqlite3_column_bytes(statement, column) != ID_BYTES)
    return false;
  id_from_bytes(bytes, id);
  return true;
}

void sqlite_bind_text(sqlite3_stmt *statement, int index, mcp_text_t text) {
  if (text.ptr != NULL)
    sqlite3_bind_text64(statement, index, text.ptr, text.len, SQLITE_STATIC, SQLITE_UTF8);
}

mcp_text_t sqlite_column_text(sqlite3_stmt *statement, int column) {
  const char *ptr = (const char *)sqlite3_column_text(statement, column);
  return (mcp_text_t){ptr, (size_t)sqlite3_column_bytes(statement, column)};
}

/* ---- Opening ---- */

/* Enabling WAL does not wait for others that do the same: retry. */
static int enable_wal(sqlite_conn_t *conn) {
  int64_t deadline_ms = monotonic_ms() + BUSY_MS;
  int code;
  while ((code = sqlite3_exec(conn->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL)) == SQLITE_BUSY &&
         monotonic_ms() < deadline_ms)
    sqlite3_sleep(10);
  return code;
}

int sqlite_conn_test_write(sqlite_conn_t *conn) {
  char sql[64];
  sqlite3_snprintf(sizeof sql, sql, "PRAGMA application_id = %d", (int)conn->spec->application_id);
  return sqlite3_exec(conn->db, sql, NULL, NULL, NULL);
}

int sqlite_conn_test_space(sqlite_conn_t *conn, size_t bytes, store_error_t *error) {
  int failure = try_allocate(conn->db, bytes);
  if (failure == 0)
    return STORE_OK;
  error->brief = is_disk_full_errno(failure) ? STORE_DISK_FULL : sqlite3_errstr(SQLITE_IOERR);
  sqlite3_snprintf(sizeof error->text, error->text, "testing for free space: %s", strerror(failure));
  return STORE_FAILED;
}

/* ---- The file ---- */

static const char *path_of(const sqlite_conn_t *conn, int which) {
  const char *path = sqlite3_db_filename(conn->db, "main");
  return which == 0 ? path : sqlite3_filename_wal(path);
}

/* Commit hook: returns 1, which fails the commit, if a file is no longer at its path. */
static int on_commit(void *arg) {
  const sqlite_conn_t *conn = arg;
  for (int i = 0; i < SQLITE_CONN_FILES; i++) {
    struct stat now;
    if (conn->files[i].st_ino != 0 &&
        (stat(path_of(conn, i), &now) != 0 || now.st_ino != conn->files[i].st_ino ||
         now.st_dev != conn->files[i].st_dev))
      return 1;
  }
  return 0;
}

/* The first read creates the journal. */
static void watch_files(sqlite_conn_t *conn) {
  sqlite3_exec(conn->db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
  for (int i = 0; i < SQLITE_CONN_FILES; i++)
    if (stat(path_of(conn, i), &conn->files[i]) != 0)
      conn->files[i].st_ino = 0;
  sqlite3_commit_hook(conn->db, on_commit, conn);
}

static int open_schema(sqlite_conn_t *conn, store_error_t *error) {
  char refused[sizeof error->text] = "";
  if (sqlite_conn_run(conn, SQLITE_CONN_BEGIN_WRITE) != SQLITE_OK)
    return sqlite_conn_fail(conn, "preparing the database", error);
  if (sqlite_migrate(conn->db, conn->spec, refused, sizeof refused) == SQLITE_OK &&
      sqlite_conn_run(conn, SQLITE_CONN_COMMIT) == SQLITE_OK)
    return enable_wal(conn) == SQLITE_OK ? STORE_OK : sqlite_conn_fail(conn, "turning WAL on", error);
  int code = sqlite_conn_fail(conn, "preparing the database", error);
  if (refused[0] != '\0')
    sqlite3_snprintf(sizeof error->text, error->text, "%s", refused);
  return code;
}

static int configure(sqlite_conn_t *conn, bool write, store_error_t *error) {
  char settings[256];
  sqlite3_snprintf(sizeof settings, settings,
                   "PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA secure_delete = FAST;"
                   "PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864;"
                   "PRAGMA cache_size = -%d; PRAGMA query_only = %d;",
                   write ? WRITER_CACHE_KIB : READER_CACHE_KIB, !write);
  sqlite3_busy_handler(conn->db, on_busy, conn);
  if (sqlite3_exec(conn->db, settings, NULL, NULL, NULL) != SQLITE_OK)
    return sqlite_conn_fail(conn, "configuring the connection", error);
  if (conn->spec->extend != NULL && conn->spec->extend(conn->db, conn) != SQLITE_OK)
    return sqlite_conn_fail(conn, "configuring the connection", error);
  sqlite3_progress_handler(conn->db, OPS_BETWEEN_CHECKS, on_progress, conn);
  return write ? open_schema(conn, error) : STORE_OK;
}

static void remove_access_of_others(const char *path) {
  struct stat file_stat;
  if (stat(path, &file_stat) == 0 && (file_stat.st_mode & S_IRWXO) != 0 &&
      chmod(path, file_stat.st_mode & (S_IRWXU | S_IRWXG)) != 0)
    mcp_log(MCP_LOG_WARN, "store", "%s is accessible to all users, and its mode cannot be changed: %s", path,
            strerror(errno));
}

/* Restricts the files to their user and group. SQLite creates its other files with the mode of the
 * database. An existing file is not opened here: closing it would release SQLite's locks. */
static void make_private(const char *path) {
  static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
  int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR | S_IRGRP);
  if (file >= 0)
    close(file);
  for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
    char *name = sqlite3_mprintf("%s%s", path, suffixes[i]);
    if (name != NULL)
      remove_access_of_others(name);
    sqlite3_free(name);
  }
}

sqlite_conn_t *sqlite_conn_open(const char *path, const sqlite_spec_t *spec, bool write,
                                store_error_t *error) {
  sqlite_conn_t *conn = calloc(1, sizeof *conn + (size_t)spec->statement_count * sizeof conn->prepared[0]);
  if (conn == NULL) {
    sqlite3_snprintf(sizeof error->text, error->text, "out of memory");
    return NULL;
  }
  conn->spec = spec;
  if (write)
    make_private(path);
  int flags = SQLITE_OPEN_READWRITE | (write ? SQLITE_OPEN_CREATE : 0) | SQLITE_OPEN_NOMUTEX;
  int code = sqlite3_open_v2(path, &conn->db, flags, NULL);
  if (code != SQLITE_OK)
    describe(conn, "opening the database", error);
  else
    code = configure(conn, write, error);
  if (code == STORE_OK && write)
    watch_files(conn);
  if (code == STORE_OK)
    return conn;
  sqlite_conn_close(conn);
  return NULL;
}

void sqlite_conn_close(sqlite_conn_t *conn) {
  if (conn == NULL)
    return;
  for (int i = 0; i < SQLITE_CONN_STATEMENTS; i++)
    sqlite3_finalize(conn->transaction[i]);
  for (int i = 0; i < conn->spec->statement_count; i++)
    sqlite3_finalize(conn->prepared[i]);
  sqlite3_close(conn->db);
  free(conn);
}
