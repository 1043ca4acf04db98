/* catalogue.h: the files that Horace knows, in its database. Blocks; any thread. */
#ifndef HORACE_CATALOGUE_H
#define HORACE_CATALOGUE_H

#include "blob.h"
#include "db.h"
#include "mime.h"
#include "storage.h"

#include <iccm_service.h>

/* The catalogue's migrations and statements. */
extern const db_spec_t catalogue_spec;

enum file_status { FILE_ACTIVE, FILE_ARCHIVED, FILE_DELETED, FILE_STATUSES };
extern const char *const file_statuses[FILE_STATUSES];
int file_status_of(mcp_text_t name); /* -1: unknown */

/* A file of the catalogue. */
typedef struct record {
  char id[MCP_UUID_SIZE];
  char path[STORAGE_PATH_SIZE];
  int status; /* enum file_status */
  /* The bytes are in the archive, else in files/; those of a deleted file may be in either. */
  bool is_archived;
  int64_t version; /* current */
  blob_t blob;     /* of the current version */
  char mime_type[MIME_TYPE_SIZE];
  int64_t created_at, updated_at, deleted_at;
  char *metadata; /* members without a column, as JSON, or NULL; owned */
} record_t;

void record_deinit(record_t *record);

/* The columns of a file in responses: one row for each of its paths. */
#define CATALOGUE_FILE_COLUMNS                                                                               \
  "f.id, f.path, f.owner, f.purpose, f.tags, f.size, f.mime_type, f.created_at, f.updated_at, f.version,"    \
  " f.checksum, c.name, f.status, f.correlation_id, f.metadata, f.is_archived, p.path"
#define CATALOGUE_JOIN_COLLECTION " LEFT JOIN horace_collections c ON c.id = f.collection"
#define CATALOGUE_JOIN_PATHS " LEFT JOIN horace_paths p ON p.file = f.id AND p.path <> f.path"

enum catalogue_statement {
  SQL_FILE_BY_ID,
  SQL_FILE_BY_PATH,
  SQL_FILES_BY_BLOB,
  SQL_HAS_SIZE,
  SQL_EXPIRED,
  SQL_RETENTION_AT,
  SQL_RETENTION_BEGIN,
  SQL_FILE_INSERT,
  SQL_FILE_TOUCH,
  SQL_FILE_SET_VERSION,
  SQL_FILE_SET_DETAILS,
  SQL_FILE_SET_TAGS,
  SQL_FILE_SET_COLLECTION,
  SQL_FILE_SET_STATUS,
  SQL_FILE_SET_PATH,
  SQL_FILE_RELEASE_PATH,
  SQL_FILE_DELETE,
  SQL_PATH_INSERT,
  SQL_PATH_DELETE,
  SQL_PATH_DELETE_OTHER,
  SQL_PATHS_DELETE,
  SQL_TAG_INSERT,
  SQL_TAGS_DELETE,
  SQL_VERSION_INSERT,
  SQL_VERSION_FETCH,
  SQL_VERSION_OLDEST,
  SQL_VERSIONS_SHOW,
  SQL_VERSIONS_PRUNE,
  SQL_VERSIONS_DELETE,
  SQL_COLLECTION_FIND,
  SQL_COLLECTION_INSERT,
  SQL_COLLECTION_UPDATE,
  SQL_COLLECTION_SHOW,
  SQL_COLLECTIONS_SHOW,
  SQL_COLLECTIONS_COUNT,
  SQL_FILE_SHOW,
  SQL_STATEMENTS
};

/* Read a file into *record, for record_deinit(). Return STORE_NOT_FOUND if there is none. */
int catalogue_find(db_t *db, const char *id, record_t *record, store_error_t *error);
int catalogue_find_path(db_t *db, const char *path, record_t *record, store_error_t *error);
/* Passes the files with these bytes that are not deleted to cb, without metadata, the oldest first, at
 * most CATALOGUE_BATCH_MAX, until cb returns false. */
enum { CATALOGUE_BATCH_MAX = 100 };
typedef bool (*record_cb)(const record_t *record, void *arg);
int catalogue_each_with_blob(db_t *db, const blob_t *blob, record_cb cb, void *arg, store_error_t *error);

/* Sets *known if any version has this size. */
int catalogue_has_size(db_t *db, int64_t size, bool *known, store_error_t *error);

/* Reads the size and checksum of a version, and the number of the oldest version kept. STORE_NOT_FOUND. */
int catalogue_version(db_t *db, const char *id, int64_t version, blob_t *blob, int64_t *oldest,
                      store_error_t *error);

/* The time when deleted files were last removed (INT64_MIN: never), and setting it. */
int catalogue_last_retention(db_t *db, int64_t *at_us, store_error_t *error);
int catalogue_begin_retention(db_t *db, int64_t at_us, cancel_token_t cancel, store_error_t *error);

/* Lists files that were deleted before before_us, at most CATALOGUE_BATCH_MAX. */
typedef struct id_list {
  int count;
  char ids[CATALOGUE_BATCH_MAX][MCP_UUID_SIZE];
} id_list_t;
int catalogue_expired(db_t *db, int64_t before_us, id_list_t *list, store_error_t *error);

/* The descriptive columns of a file. A missing text leaves the column unchanged, an empty one clears it. */
typedef struct details {
  mcp_text_t owner, purpose, correlation_id;
  yyjson_mut_val *tags;   /* array of distinct texts; NULL: unchanged */
  const char *collection; /* id, or "" for none; NULL: unchanged */
  mcp_text_t metadata;    /* JSON */
} details_t;

/* Finds a collection by name, or by id if no collection has that name. STORE_NOT_FOUND. */
int catalogue_find_collection(db_t *db, mcp_text_t name, bool or_id, char id[MCP_UUID_SIZE],
                              store_error_t *error);

/* Waits for a transaction on this file whose connection was lost during the commit, and for a standby, so
 * that data read afterwards cannot be lost. Changes nothing. */
int catalogue_wait_for_commit(db_t *db, const char *id, cancel_token_t cancel, store_error_t *error);

/* ---- Changes; conn: of a transaction that writes ---- */

/* Inserts a file with its first version. STORE_CONFLICT: another file has its path. */
int catalogue_add(db_conn_t *conn, const record_t *record, store_error_t *error);

/* Inserts the version in record and keeps the newest versions only, from *oldest on. */
int catalogue_add_version(db_conn_t *conn, const record_t *record, int keep, int64_t *oldest,
                          store_error_t *error);

/* Sets the details that are present. */
int catalogue_set_details(db_conn_t *conn, const char *id, const details_t *details, int64_t now_us,
                          store_error_t *error);

/* Sets status and is_archived from record. */
int catalogue_set_status(db_conn_t *conn, const record_t *record, int64_t now_us, store_error_t *error);

/* Sets path and MIME type from record. */
int catalogue_set_path(db_conn_t *conn, const record_t *record, store_error_t *error);

/* Adds or removes a path at which the file's bytes are. STORE_CONFLICT: another file has this path. */
int catalogue_add_path(db_conn_t *conn, const char *path, const char *id, store_error_t *error);
int catalogue_drop_path(db_conn_t *conn, const char *path, store_error_t *error);

/* Removes a path without a file from the other paths of a file; a file's own path stays. */
int catalogue_remove_other_path(db_conn_t *conn, const char *path, store_error_t *error);
/* Takes the own path of a deleted file from it, for another file. */
int catalogue_release_path(db_conn_t *conn, const char *path, const char *id, store_error_t *error);

/* Deletes a file with all its rows. */
int catalogue_delete(db_conn_t *conn, const char *id, store_error_t *error);

#endif
