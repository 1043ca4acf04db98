/* dewey_call.c: see dewey_call.h. */
#include "dewey_call.h"

yyjson_mut_doc *dewey_call_arguments(yyjson_val *args, const char *const *names) {
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  yyjson_mut_val *picked = yyjson_mut_obj(doc);
  yyjson_mut_doc_set_root(doc, picked);
  for (; *names != NULL; names++) {
    yyjson_val *value = yyjson_obj_get(args, *names);
    if (value != NULL && !yyjson_is_null(value) &&
        !yyjson_mut_obj_add_val(doc, picked, *names, yyjson_val_mut_copy(doc, value))) {
      yyjson_mut_doc_free(doc);
      return NULL; /* no argument may be lost */
    }
  }
  return doc;
}

bool dewey_call_is_error_response(int status) {
  return status <= MCP_TOOL_ERROR;
}

/* Other codes concern Godot's own request to the store. */
static bool is_for_caller(int code) {
  return code == MCP_INVALID_PARAMS || (code <= MCP_TOOL_ERROR && code >= -32099);
}

void dewey_call_forward_error(mcp_call_t *call, int code, yyjson_val *data, const char *message) {
  yyjson_mut_val *copy = data != NULL ? yyjson_val_mut_copy(mcp_call_doc(call), data) : NULL;
  mcp_call_fail(call, is_for_caller(code) ? code : MCP_TOOL_ERROR, copy, "%s", message);
}
