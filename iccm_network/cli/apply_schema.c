/* apply_schema.c: see apply_schema.h.
 *
 * The warnings exist because a server may silently ignore a misspelt argument. Failure: a missing response to
 * tools/list delays the call by at most LIST_MAX_MS.
 */
#include "apply_schema.h"

#include <string.h>
#include "arguments.h"
#include "base/edit_distance.h"
#include "print.h"
#include "error_report.h"
#include "sync_client.h"

/* Limits of tools/list: absolute, and as a fraction of --timeout. */
enum { LIST_MAX_MS = 2000, LIST_TIME_DIVISOR = 4 };

typedef struct schema_request {
  const print_t *out;
  yyjson_mut_doc *arguments;
  int code;
  bool disconnected;
} schema_request_t;

static const char *nearest_property(yyjson_val *properties, yyjson_mut_val *name) {
  const char *nearest = NULL;
  size_t i, max, smallest = SIZE_MAX;
  yyjson_val *key, *property;
  yyjson_obj_foreach(properties, i, max, key, property) {
    size_t distance = mcp__edit_distance_indel(yyjson_mut_get_str(name), yyjson_mut_get_len(name),
                                               yyjson_get_str(key), yyjson_get_len(key));
    if (distance < smallest) {
      nearest = yyjson_get_str(key);
      smallest = distance;
    }
  }
  return nearest;
}

static void warn(const char *tool, yyjson_mut_val *name, const char *nearest) {
  const print_t err = {stderr, 0, false};
  fputs("iccm: warning: the schema of ", stderr);
  print_line(&err, tool, strlen(tool), 0);
  fputs(" has no argument \"", stderr);
  print_line(&err, yyjson_mut_get_str(name), yyjson_mut_get_len(name), 0);
  fputc('"', stderr);
  if (nearest != NULL) {
    fputs(" (nearest: \"", stderr);
    print_line(&err, nearest, strlen(nearest), 0);
    fputs("\")", stderr);
  }
  fputc('\n', stderr);
}

/* Also checks nested objects whose properties the schema defines. */
static void warn_of_unknown(const char *tool, yyjson_val *schema, yyjson_mut_val *object) {
  yyjson_val *properties = yyjson_obj_get(schema, "properties");
  size_t i, max;
  yyjson_mut_val *name, *value;
  if (!yyjson_is_obj(properties) || yyjson_obj_get(schema, "patternProperties") != NULL ||
      yyjson_is_obj(yyjson_obj_get(schema, "additionalProperties")))
    return;
  yyjson_mut_obj_foreach(object, i, max, name, value) {
    yyjson_val *property = yyjson_obj_getn(properties, yyjson_mut_get_str(name), yyjson_mut_get_len(name));
    if (property == NULL)
      warn(tool, name, nearest_property(properties, name));
    else
      warn_of_unknown(tool, property, value);
  }
}

static void use_schema(const options_t *options, yyjson_mut_doc *arguments, yyjson_val *schema) {
  arguments_set_types(arguments, options->arg_count, options->args, schema);
  warn_of_unknown(options->tool, schema, yyjson_mut_doc_get_root(arguments));
}

static void on_tools(sync_client_t *sync, const mcp_result_t *result, void *arg) {
  schema_request_t *request = arg;
  const options_t *options = sync->options;
  size_t i, max;
  yyjson_val *tool;
  if (result->status != 0 && result->status != MCP_ETIMEOUT && !sync->connected)
    request->code = report_failure(options, request->out, options->tool, result, sync_client_stage(sync));
  request->disconnected =
      sync->connected && (result->status == MCP_EDISCONNECTED || result->status == MCP_EPROTOCOL ||
                          result->status == MCP_ETOOBIG || result->status == MCP_EBUSY);
  if (result->status != 0)
    return;
  yyjson_arr_foreach(result->value, i, max, tool) {
    if (yyjson_equals_str(yyjson_obj_get(tool, "name"), options->tool))
      use_schema(options, request->arguments, yyjson_obj_get(tool, "inputSchema"));
  }
}

static uint64_t list_timeout_ms(const options_t *options) {
  uint64_t share = options->timeout_ms / LIST_TIME_DIVISOR;
  return share > LIST_MAX_MS ? LIST_MAX_MS : share > 0 ? share : 1;
}

int apply_schema(sync_client_t *sync, const print_t *out, yyjson_mut_doc *arguments, bool *disconnected) {
  schema_request_t request = {.out = out, .arguments = arguments};
  if (yyjson_mut_obj_size(yyjson_mut_doc_get_root(arguments)) > 0)
    sync_client_list_tools(sync, list_timeout_ms(sync->options), on_tools, &request);
  *disconnected = request.disconnected;
  return request.code;
}
