/* catalogue_sql.c: the catalogue's tables and statements, for both SQLite and PostgreSQL.
 *
 * horace_paths holds every path in files/ whose bytes are known, with the one file it belongs to. An
 * archived file has no path there, so that another file may use it; the same holds for a deleted file
 * whose path another file has taken. Tags are stored with their file, in the given order, and in
 * horace_tags for searching. horace_retention has one row: the time of the last removal of deleted files. */
#include "catalogue.h"

static const char *const migrations[] = {
    "CREATE TABLE horace_collections("
    " id uuid NOT NULL PRIMARY KEY,"
    " name text COLLATE \"C\" NOT NULL UNIQUE,"
    " description text,"
    " metadata text,"
    " created_at timestamptz NOT NULL);"
    "CREATE TABLE horace_files("
    " id uuid NOT NULL PRIMARY KEY,"
    " path text COLLATE \"C\" NOT NULL,"
    " extension text NOT NULL,"
    " status text NOT NULL CHECK(status IN ('active', 'archived', 'deleted')),"
    " is_archived boolean NOT NULL,"
    " version bigint NOT NULL,"
    " checksum text NOT NULL,"
    " size bigint NOT NULL,"
    " mime_type text COLLATE \"C\" NOT NULL,"
    " owner text COLLATE \"C\","
    " purpose text,"
    " tags text NOT NULL,"
    " collection uuid REFERENCES horace_collections(id),"
    " correlation_id text,"
    " metadata text,"
    " created_at timestamptz NOT NULL,"
    " updated_at timestamptz NOT NULL,"
    " deleted_at timestamptz);"
    /* An index with all short columns that searches compare, so that they need not read whole rows. */
    "CREATE INDEX horace_files_found ON horace_files(created_at, id, status, updated_at, size, mime_type,"
    " extension, owner, collection, version);"
    "CREATE INDEX horace_files_bytes ON horace_files(checksum);"
    "CREATE INDEX horace_files_owner ON horace_files(owner) WHERE owner IS NOT NULL;"
    "CREATE INDEX horace_files_collection ON horace_files(collection) WHERE collection IS NOT NULL;"
    "CREATE INDEX horace_files_deleted ON horace_files(deleted_at) WHERE deleted_at IS NOT NULL;"
    "CREATE TABLE horace_paths("
    " path text COLLATE \"C\" NOT NULL PRIMARY KEY,"
    " file uuid NOT NULL REFERENCES horace_files(id));"
    "CREATE INDEX horace_paths_file ON horace_paths(file);"
    "CREATE TABLE horace_tags("
    " tag text COLLATE \"C\" NOT NULL,"
    " file uuid NOT NULL REFERENCES horace_files(id),"
    " PRIMARY KEY(tag, file));"
    "CREATE INDEX horace_tags_file ON horace_tags(file);"
    "CREATE TABLE horace_versions("
    " file uuid NOT NULL REFERENCES horace_files(id),"
    " version bigint NOT NULL,"
    " checksum text NOT NULL,"
    " size bigint NOT NULL,"
    " created_at timestamptz NOT NULL,"
    " PRIMARY KEY(file, version));"
    "CREATE INDEX horace_versions_size ON horace_versions(size);",
    "CREATE TABLE horace_retention(began_at timestamptz);"
    "INSERT INTO horace_retention(began_at) SELECT max(updated_at) FROM horace_files;",
};

#define RECORD                                                                                               \
  "SELECT f.id, f.path, f.status, f.is_archived, f.version, f.checksum, f.size, f.mime_type, f.created_at,"  \
  " f.updated_at, f.metadata, f.deleted_at FROM horace_files f "
#define COLLECTIONS                                                                                          \
  "SELECT c.id, c.name, c.description, c.metadata, c.created_at,"                                            \
  " (SELECT count(*) FROM horace_files f WHERE f.collection = c.id AND f.status <> 'deleted')"               \
  " FROM horace_collections c "

static const char *const statements[SQL_STATEMENTS] = {
    [SQL_FILE_BY_ID] = RECORD "WHERE f.id = $1",
    [SQL_FILE_BY_PATH] = RECORD "JOIN horace_paths p ON p.file = f.id WHERE p.path = $1",
    [SQL_FILES_BY_BLOB] = RECORD "WHERE f.checksum = $1 AND f.size = $2 AND f.status <> 'deleted'"
                                 " ORDER BY f.created_at, f.id LIMIT 100",
    [SQL_HAS_SIZE] = "SELECT 1 FROM horace_versions WHERE size = $1 LIMIT 1",
    [SQL_EXPIRED] = "SELECT id FROM horace_files WHERE deleted_at < $1 ORDER BY deleted_at LIMIT 100",
    [SQL_RETENTION_AT] = "SELECT began_at FROM horace_retention",
    [SQL_RETENTION_BEGIN] = "UPDATE horace_retention SET began_at = $1",
    [SQL_FILE_INSERT] =
        "INSERT INTO horace_files(id, path, extension, status, is_archived, version, checksum,"
        " size, mime_type, tags, created_at, updated_at)"
        " VALUES($1, $2, $3, 'active', false, $4, $5, $6, $7, '[]', $8, $8)",
    [SQL_FILE_TOUCH] = "UPDATE horace_files SET version = version WHERE id = $1",
    [SQL_FILE_SET_VERSION] = "UPDATE horace_files SET version = $2, checksum = $3, size = $4, mime_type = $5,"
                             " updated_at = $6 WHERE id = $1",
    [SQL_FILE_SET_DETAILS] = "UPDATE horace_files SET owner = NULLIF(COALESCE($2, owner), ''),"
                             " purpose = NULLIF(COALESCE($3, purpose), ''),"
                             " correlation_id = NULLIF(COALESCE($4, correlation_id), ''),"
                             " metadata = NULLIF(COALESCE($5, metadata), ''), updated_at = $6 WHERE id = $1",
    [SQL_FILE_SET_TAGS] = "UPDATE horace_files SET tags = $2 WHERE id = $1",
    [SQL_FILE_SET_COLLECTION] = "UPDATE horace_files SET collection = $2, updated_at = $3 WHERE id = $1",
    [SQL_FILE_SET_STATUS] = "UPDATE horace_files SET status = $2, is_archived = $3, updated_at = $4,"
                            " deleted_at = $5 WHERE id = $1",
    [SQL_FILE_SET_PATH] =
        "UPDATE horace_files SET path = $2, extension = $3, mime_type = $4, updated_at = $5 WHERE id = $1",
    [SQL_FILE_RELEASE_PATH] = "UPDATE horace_files SET is_archived = true WHERE id = $1",
    [SQL_FILE_DELETE] = "DELETE FROM horace_files WHERE id = $1",
    [SQL_PATH_INSERT] = "INSERT INTO horace_paths(path, file) VALUES($1, $2)",
    [SQL_PATH_DELETE] = "DELETE FROM horace_paths WHERE path = $1",
    [SQL_PATH_DELETE_OTHER] = "DELETE FROM horace_paths WHERE path = $1"
                              " AND file IN (SELECT id FROM horace_files WHERE path <> $1)",
    [SQL_PATHS_DELETE] = "DELETE FROM horace_paths WHERE file = $1",
    [SQL_TAG_INSERT] = "INSERT INTO horace_tags(tag, file) VALUES($1, $2) ON CONFLICT DO NOTHING",
    [SQL_TAGS_DELETE] = "DELETE FROM horace_tags WHERE file = $1",
    [SQL_VERSION_INSERT] =
        "INSERT INTO horace_versions(file, version, checksum, size, created_at) VALUES($1, $2, $3, $4, $5)",
    [SQL_VERSION_FETCH] = "SELECT checksum, size, (SELECT min(version) FROM horace_versions WHERE file = $1)"
                          " FROM horace_versions WHERE file = $1 AND version = $2",
    [SQL_VERSION_OLDEST] = "SELECT min(version) FROM horace_versions WHERE file = $1",
    [SQL_VERSIONS_SHOW] = "SELECT version, created_at, size, checksum FROM horace_versions WHERE file = $1"
                          " ORDER BY version DESC",
    [SQL_VERSIONS_PRUNE] = "DELETE FROM horace_versions WHERE file = $1 AND version <= $2",
    [SQL_VERSIONS_DELETE] = "DELETE FROM horace_versions WHERE file = $1",
    [SQL_COLLECTION_FIND] = "SELECT id FROM horace_collections WHERE name = $1 OR id = $2"
                            " ORDER BY name = $1 DESC LIMIT 1",
    [SQL_COLLECTION_INSERT] = "INSERT INTO horace_collections(id, name, description, metadata, created_at)"
                              " VALUES($1, $2, $3, $4, $5)",
    [SQL_COLLECTION_UPDATE] = "UPDATE horace_collections SET description = COALESCE($2, description),"
                              " metadata = COALESCE($3, metadata) WHERE id = $1",
    [SQL_COLLECTION_SHOW] = COLLECTIONS "WHERE c.id = $1",
    [SQL_COLLECTIONS_SHOW] = COLLECTIONS "ORDER BY c.name LIMIT $1 OFFSET $2",
    [SQL_COLLECTIONS_COUNT] = "SELECT count(*) FROM horace_collections",
    [SQL_FILE_SHOW] =
        "SELECT " CATALOGUE_FILE_COLUMNS " FROM horace_files f" CATALOGUE_JOIN_COLLECTION CATALOGUE_JOIN_PATHS
        " WHERE f.id = $1 ORDER BY p.path",
};

const db_spec_t catalogue_spec = {
    .name = "Horace",
    .version_table = "horace_schema",
    .application_id = 0x486f7263,
    .lock = 7306934502,
    .migrations = migrations,
    .migration_count = sizeof migrations / sizeof migrations[0],
    .statements = statements,
    .statement_count = SQL_STATEMENTS,
};
