/* audit.c: see audit.h. The only entries that Godot's server makes itself. It pushes them directly to the
 * queue: they cause no further ones.
 *
 * Failure: without Redis or memory the line is printed only. */
#include "audit.h"

#include "entry.h"

#include <iccm_service.h>
#include <stdlib.h>

static yyjson_mut_val *arguments_of(mcp_call_t *call, yyjson_mut_doc *doc) {
  size_t len;
  const char *text = mcp_call_args_text(call, &len);
  yyjson_doc *arguments = text != NULL ? mcp_json_read(text, len) : NULL;
  yyjson_mut_val *copy = yyjson_val_mut_copy(doc, yyjson_doc_get_root(arguments));
  yyjson_doc_free(arguments);
  return copy;
}

static void on_pushed(int status, void *arg) {
  (void)arg;
  if (status != 0)
    mcp_log(MCP_LOG_WARN, "godot", "a line about the logs was not queued: %s", QUEUE_UNAVAILABLE);
}

/* Returns the entry, which the caller frees, or NULL with the reason. */
static char *entry_of(yyjson_mut_doc *doc, const char *trace_id, size_t *len,
                      char reason[ENTRY_REASON_SIZE]) {
  size_t redacted = 0;
  yyjson_doc *arguments = yyjson_mut_doc_imut_copy(doc, NULL);
  snprintf(reason, ENTRY_REASON_SIZE, "out of memory");
  char *text = arguments != NULL ? entry_new(yyjson_doc_get_root(arguments), trace_id, mcp_time_now_us(), len,
                                             &redacted, reason)
                                 : NULL;
  yyjson_doc_free(arguments);
  return text;
}

static void push(queue_t *queue, yyjson_mut_doc *doc, const char *trace_id) {
  char reason[ENTRY_REASON_SIZE];
  size_t len;
  char *text = entry_of(doc, trace_id, &len, reason);
  if (text == NULL) { /* without the arguments, which may be too large for an entry */
    yyjson_mut_obj_remove_key(yyjson_mut_obj_get(yyjson_mut_doc_get_root(doc), "data"), "arguments");
    text = entry_of(doc, trace_id, &len, reason);
  }
  if (text == NULL)
    mcp_log(MCP_LOG_WARN, "godot", "a line about the logs was not queued: %s", reason);
  else if (queue_push(queue, &(mcp_text_t){text, len}, 1, on_pushed, NULL) != 0)
    on_pushed(MCP_ENOMEM, NULL);
  free(text);
}

void audit(queue_t *queue, mcp_call_t *call, const char *what, yyjson_val *result) {
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  yyjson_mut_val *entry = yyjson_mut_obj(doc), *data = yyjson_mut_obj(doc);
  char message[400];
  snprintf(message, sizeof message, "%s by %s", what, mcp_call_caller(call));
  yyjson_mut_doc_set_root(doc, entry);
  yyjson_mut_obj_add_str(doc, data, "caller", mcp_call_caller(call));
  yyjson_mut_obj_add_val(doc, data, "arguments", arguments_of(call, doc));
  yyjson_mut_obj_add_val(doc, data, "result", yyjson_val_mut_copy(doc, result));
  mcp_log_data(MCP_LOG_INFO, "godot", mcp_call_trace_id(call), data, "%s", message);
  yyjson_mut_obj_add_str(doc, entry, "component", "godot");
  yyjson_mut_obj_add_str(doc, entry, "level", "INFO");
  yyjson_mut_obj_add_str(doc, entry, "message", message);
  yyjson_mut_obj_add_val(doc, entry, "data", data);
  push(queue, doc, mcp_call_trace_id(call));
  yyjson_mut_doc_free(doc);
}
