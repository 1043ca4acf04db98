/* catalogue.h: what Horace knows of files, in its database. Blocks; any thread. */
#ifndef HORACE_CATALOGUE_H
#define HORACE_CATALOGUE_H

#include "blob.h"
#include "db.h"
#include "mime.h"
#include "storage.h"

#include <iccm_service.h>

/* What the catalogue's database is made of, and its statements. */
extern const db_spec_t catalogue_spec;

enum file_status { FILE_ACTIVE, FILE_ARCHIVED, FILE_DELETED, FILE_STATUSES };
extern const char *const file_statuses[FILE_STATUSES];
int file_status_of(mcp_text_t name); /* -1: none */

/* A file of the catalogue, as work on it needs it. */
typedef struct record {
  char id[MCP_UUID_SIZE];
  char path[STORAGE_PATH_SIZE];
  int status;       /* enum file_status */
  bool is_archived; /* its bytes are in the archive, else in files/; a deleted one's may be in either */
  int64_t version;  /* the current one */
  blob_t blob;      /* of that */
  char mime_type[MIME_TYPE_SIZE];
  int64_t created_at, updated_at, deleted_at;
  char *metadata; /* what has no column of its own, as JSON, or NULL; owned */
} record_t;

void record_deinit(record_t *record);

/* What a file is shown as: a row of CATALOGUE_FILE_COLUMNS FROM_FILES for each of its paths. */
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

/* Each fills *record, which record_deinit() is for then. STORE_NOT_FOUND: there is no such file. */
int catalogue_find(db_t *db, const char *id, record_t *record, store_error_t *error);
int catalogue_find_path(db_t *db, const char *path, record_t *record, store_error_t *error);
/* Those of these bytes that are not deleted, the oldest first, CATALOGUE_BATCH_MAX of them, until cb says
 * false; their metadata is not read. */
enum { CATALOGUE_BATCH_MAX = 100 };
typedef bool (*record_cb)(const record_t *record, void *arg);
int catalogue_each_with_blob(db_t *db, const blob_t *blob, record_cb cb, void *arg, store_error_t *error);

/* Whether any version of this size is known. */
int catalogue_has_size(db_t *db, int64_t size, bool *known, store_error_t *error);

/* A version's bytes, and the oldest version that is kept. STORE_NOT_FOUND. */
int catalogue_version(db_t *db, const char *id, int64_t version, blob_t *blob, int64_t *oldest,
                      store_error_t *error);

/* The clock when deleted files were last removed, INT64_MIN: never; and that they are now. */
int catalogue_last_retention(db_t *db, int64_t *at_us, store_error_t *error);
int catalogue_begin_retention(db_t *db, int64_t at_us, cancel_token_t cancel, store_error_t *error);

/* Ids of files that were deleted before then, a hundred at most. */
typedef struct id_list {
  int count;
  char ids[CATALOGUE_BATCH_MAX][MCP_UUID_SIZE];
} id_list_t;
int catalogue_expired(db_t *db, int64_t before_us, id_list_t *list, store_error_t *error);

/* What is written beside the bytes. Texts that are missing stay as they are, empty ones are removed. */
typedef struct details {
  mcp_text_t owner, purpose, correlation_id;
  yyjson_mut_val *tags;   /* an array of texts, no two alike; NULL: they stay */
  const char *collection; /* its id, or "" for none; NULL: stays */
  mcp_text_t metadata;    /* JSON */
} details_t;

/* The collection of this name, or of this id where there is none of the name. STORE_NOT_FOUND. */
int catalogue_find_collection(db_t *db, mcp_text_t name, bool or_id, char id[MCP_UUID_SIZE],
                              store_error_t *error);

/* Waits for a transaction on this file whose outcome nobody has learned, since its connection was lost while
 * the database committed, and for a standby: what is read after that stays true. Changes nothing. */
int catalogue_wait_for_commit(db_t *db, const char *id, cancel_token_t cancel, store_error_t *error);

/* ---- Changes; conn: of a transaction that writes ---- */

/* A file with its first version. STORE_CONFLICT: its path is another file's. */
int catalogue_add(db_conn_t *conn, const record_t *record, store_error_t *error);

/* A new version, which record is as it shall be; of all only the newest are kept, from *oldest on. */
int catalogue_add_version(db_conn_t *conn, const record_t *record, int keep, int64_t *oldest,
                          store_error_t *error);

/* Details that are given. */
int catalogue_set_details(db_conn_t *conn, const char *id, const details_t *details, int64_t now_us,
                          store_error_t *error);

/* status and is_archived of record. */
int catalogue_set_status(db_conn_t *conn, const record_t *record, int64_t now_us, store_error_t *error);

/* path and kind of record. */
int catalogue_set_path(db_conn_t *conn, const record_t *record, store_error_t *error);

/* One more path where a file's bytes are, or one less. STORE_CONFLICT: it is another file's. */
int catalogue_add_path(db_conn_t *conn, const char *path, const char *id, store_error_t *error);
int catalogue_drop_path(db_conn_t *conn, const char *path, store_error_t *error);

/* A path where no file is: it is no longer one where another file's bytes are, unless it is that one's own.
 */
int catalogue_remove_other_path(db_conn_t *conn, const char *path, store_error_t *error);
/* A path of its own, which a deleted file leaves to another one. */
int catalogue_release_path(db_conn_t *conn, const char *path, const char *id, store_error_t *error);

/* All that is known of a file. */
int catalogue_delete(db_conn_t *conn, const char *id, store_error_t *error);

#endif
