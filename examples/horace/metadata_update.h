/* metadata_update.h: what callers say of files, read from their arguments; and how calls fail. */
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

/* Reads metadata, which may be NULL; status_too: it may say a status. False: the call has been ended with the
 * reason. */
bool metadata_update_read(mcp_call_t *call, horace_t *horace, yyjson_val *metadata, bool status_too,
                          metadata_update_t *update);

/* The id of a collection named by name or id. False: the call has been ended. */
bool collection_arg(mcp_call_t *call, horace_t *horace, yyjson_val *name, char id[MCP_UUID_SIZE]);

/* The id of a file, in its form. False: the call has been ended. */
bool file_id_arg(mcp_call_t *call, yyjson_val *value, char id[MCP_UUID_SIZE]);

/* An object as JSON in the call's memory; ptr NULL: it is missing. False: the call has been ended. */
bool object_arg(mcp_call_t *call, yyjson_val *args, const char *name, mcp_text_t *json);

/* Ends a call that came to nothing: error -32000, with data.error_code. */
void reply_failure(mcp_call_t *call, const failure_t *failure);

/* The same where the database did. */
void reply_store_failure(mcp_call_t *call, horace_t *horace, int code, const store_error_t *error,
                         const char *doing);

#endif
