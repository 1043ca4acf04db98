/* metadata_update.h: the metadata in a caller's arguments, and failures as responses. */
#ifndef HORACE_METADATA_UPDATE_H
#define HORACE_METADATA_UPDATE_H

#include "tool_args.h"
#include "files.h"

enum {
  METADATA_NAME_MAX_BYTES = 256,
  METADATA_TAGS_MAX = 64,
  METADATA_TAG_MAX_BYTES = 128,
  METADATA_MEMBERS_MAX = 4096
};

/* Reads metadata, which may be NULL; status_too allows a status. Returns false after failing the call. */
bool metadata_update_read(mcp_call_t *call, horace_t *horace, yyjson_val *metadata, bool status_too,
                          metadata_update_t *update);

/* Finds the id of a collection by name or id. Returns false after failing the call. */
bool collection_arg(mcp_call_t *call, horace_t *horace, yyjson_val *name, char id[MCP_UUID_SIZE]);

/* Reads the id of a file in the form of mcp_uuid_parse. Returns false after failing the call. */
bool file_id_arg(mcp_call_t *call, yyjson_val *value, char id[MCP_UUID_SIZE]);

/* Serialises an object in the call's memory; ptr is NULL if it is missing. Returns false after failing the
 * call. */
bool object_arg(mcp_call_t *call, yyjson_val *args, const char *name, mcp_text_t *json);

/* Fails a call with error -32000 and data.error_code. */
void reply_failure(mcp_call_t *call, const failure_t *failure);

/* The same for a failure of the database. */
void reply_store_failure(mcp_call_t *call, horace_t *horace, int code, const store_error_t *error,
                         const char *doing);

#endif
