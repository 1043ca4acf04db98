/* prepare.c: see prepare.h.
 *
 * What is misspelt may be dropped silently by the server: hence the warnings. Failure: a list of tools that
 * does not come costs LIST_MAX_MS at most, and nothing else.
 */
#include "prepare.h"

#include <string.h>
#include "arguments.h"
#include "base/edit_distance.h"
#include "print.h"
#include "report.h"
#include "sync_client.h"

enum { LIST_MAX_MS = 2000, LIST_SHARE = 4 }; /* time for the schema, and what part of all it may be */

typedef struct preparing {
  const print_t *out;
  yyjson_mut_doc *arguments;
  int code;
  bool lost;
} preparing_t;

static const char *nearest_property(yyjson_val *properties, yyjson_mut_val *name) {
  const char *nearest = NULL;
  size_t i, max, least = SIZE_MAX;
  yyjson_val *key, *property;
  yyjson_obj_foreach(properties, i, max, key, property) {
    size_t distance = mcp__edit_distance_indel(yyjson_mut_get_str(name), yyjson_mut_get_len(name),
                                               yyjson_get_str(key), yyjson_get_len(key));
    if (distance < least) {
      nearest = yyjson_get_str(key);
      least = distance;
    }
  }
  return nearest;
}

static void warn(const char *tool, yyjson_mut_val *name, const char *nearest) {
  const print_t err = {stderr, 0, false};
  fputs("iccm: warning: ", stderr);
  print_line(&err, tool, strlen(tool), 0);
  fputs(" lists no argument \"", stderr);
  print_line(&err, yyjson_mut_get_str(name), yyjson_mut_get_len(name), 0);
  fputc('"', stderr);
  if (nearest != NULL) {
    fputs("; the nearest it lists is \"", stderr);
    print_line(&err, nearest, strlen(nearest), 0);
    fputc('"', stderr);
  }
  fputc('\n', stderr);
}

/* Of an object and those in it, as far as the schema says their properties. */
static void warn_of_unlisted(const char *tool, yyjson_val *schema, yyjson_mut_val *object) {
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
      warn_of_unlisted(tool, property, value);
  }
}

static void use_schema(const options_t *options, yyjson_mut_doc *arguments, yyjson_val *schema) {
  arguments_fit(arguments, options->word_count, options->words, schema);
  warn_of_unlisted(options->tool, schema, yyjson_mut_doc_get_root(arguments));
}

static void on_tools(sync_client_t *sync, const mcp_result_t *result, void *arg) {
  preparing_t *preparing = arg;
  const options_t *options = sync->options;
  size_t i, max;
  yyjson_val *tool;
  if (result->status != 0 && result->status != MCP_ETIMEOUT && !sync->connected)
    preparing->code =
        report_failure(options, preparing->out, options->tool, result, sync_client_reached(sync));
  preparing->lost =
      sync->connected && (result->status == MCP_EDISCONNECTED || result->status == MCP_EPROTOCOL ||
                          result->status == MCP_ETOOBIG || result->status == MCP_EBUSY);
  if (result->status != 0)
    return;
  yyjson_arr_foreach(result->value, i, max, tool) {
    if (yyjson_equals_str(yyjson_obj_get(tool, "name"), options->tool))
      use_schema(options, preparing->arguments, yyjson_obj_get(tool, "inputSchema"));
  }
}

static uint64_t list_ms(const options_t *options) {
  uint64_t share = options->timeout_ms / LIST_SHARE;
  return share > LIST_MAX_MS ? LIST_MAX_MS : share > 0 ? share : 1;
}

int prepare_arguments(sync_client_t *sync, const print_t *out, yyjson_mut_doc *arguments, bool *lost) {
  preparing_t preparing = {.out = out, .arguments = arguments};
  if (yyjson_mut_obj_size(yyjson_mut_doc_get_root(arguments)) > 0)
    sync_client_list_tools(sync, list_ms(sync->options), on_tools, &preparing);
  *lost = preparing.lost;
  return preparing.code;
}
