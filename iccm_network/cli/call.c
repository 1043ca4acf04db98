/* call.c: `iccm call URL TOOL [ARGUMENTS]`. Calls the tool once and prints its answer.
 *
 * What is misspelt may be dropped silently by the server: the tool's schema is asked for before, and an
 * argument that it does not list is warned of. The call is made nevertheless, also where no schema comes.
 * The answer is the value that the library found in the result; where the result is a text that is not JSON,
 * or several parts, the parts are printed one after the other.
 */
#include <string.h>
#include "arguments.h"
#include "names.h"
#include "report.h"
#include "session.h"

enum { LIST_MAX_MS = 2000, LIST_SHARE = 4 }; /* time for the schema, and what part of all it may be */

typedef struct calling {
  const print_t *out;
  yyjson_mut_val *arguments;
  int code;
  bool failed; /* before the call: there is no connection */
  bool lost;   /* the connection ended when it was asked for the list: the call needs another one */
} calling_t;

/* ---- Arguments that the schema does not list ---- */

static const char *nearest_property(yyjson_val *properties, yyjson_mut_val *name) {
  const char *nearest = NULL;
  size_t i, max, least = SIZE_MAX;
  yyjson_val *key, *property;
  yyjson_obj_foreach(properties, i, max, key, property) {
    size_t distance = mcp__names_distance(yyjson_mut_get_str(name), yyjson_mut_get_len(name),
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

static void on_tools(session_t *session, const mcp_result_t *result, void *arg) {
  calling_t *calling = arg;
  const char *name = session->options->tool;
  size_t i, max;
  yyjson_val *tool;
  calling->failed = result->status != 0 && result->status != MCP_ETIMEOUT && !session->connected;
  if (calling->failed)
    calling->code = report_failure(session->options, calling->out, name, result, false);
  calling->lost = session->connected && (result->status == MCP_ELOST || result->status == MCP_EPROTOCOL ||
                                         result->status == MCP_ETOOBIG || result->status == MCP_EBUSY);
  if (result->status != 0)
    return;
  yyjson_arr_foreach(result->value, i, max, tool) {
    if (yyjson_equals_str(yyjson_obj_get(tool, "name"), name))
      warn_of_unlisted(name, yyjson_obj_get(tool, "inputSchema"), calling->arguments);
  }
}

static uint64_t list_ms(const options_t *options) {
  uint64_t share = options->timeout_ms / LIST_SHARE;
  return share > LIST_MAX_MS ? LIST_MAX_MS : share > 0 ? share : 1;
}

/* ---- The answer ---- */

/* The parts of a result that carries nothing structured; NULL where value is the tool's own answer. */
static yyjson_val *parts_of(const mcp_result_t *result) {
  yyjson_val *parts = yyjson_obj_get(result->value, "content");
  yyjson_val *text = yyjson_obj_get(yyjson_arr_get_first(parts), "text");
  bool whole =
      result->text == NULL ? yyjson_is_arr(parts) : yyjson_equals_strn(text, result->text, result->text_len);
  return whole ? parts : NULL;
}

static void print_answer(const print_t *out, const mcp_result_t *result) {
  size_t i, max;
  yyjson_val *part, *parts = parts_of(result);
  if (parts == NULL) {
    print_value(out, result->value);
    return;
  }
  yyjson_arr_foreach(parts, i, max, part) {
    yyjson_val *text = yyjson_obj_get(part, "text");
    print_value(out, yyjson_is_str(text) ? text : part);
  }
}

static void on_answer(session_t *session, const mcp_result_t *result, void *arg) {
  calling_t *calling = arg;
  if (result->status != 0 || result->is_error)
    calling->code =
        report_failure(session->options, calling->out, session->options->tool, result, session->connected);
  else if (session->options->json)
    print_json(calling->out, result->value, false);
  else
    print_answer(calling->out, result);
}

/* The trace id that was asked for, or a new one; NULL: none. */
static const char *choose_trace(const char *asked, char uuid[MCP_UUID_SIZE]) {
  if (asked == NULL || strcmp(asked, "new") != 0)
    return asked;
  mcp_uuid_new(uuid);
  fprintf(stderr, "trace %s\n", uuid);
  return uuid;
}

/* 0: a session in that trace, if any; else an exit code, and nothing to end. */
static int begin(session_t *session, const options_t *options, const print_t *out, const char *trace) {
  int code = session_begin(session, options, out);
  if (code == 0 && trace != NULL && mcp_client_set_trace_id(session->client, trace) != 0)
    code = session_end(session, report_usage(options, out, "--trace takes 1 to 128 bytes of UTF-8"));
  return code;
}

int call_run(const options_t *options, const print_t *out) {
  session_t session;
  calling_t calling = {.out = out};
  char error[ARGUMENTS_ERROR_SIZE], uuid[MCP_UUID_SIZE];
  yyjson_mut_doc *arguments = arguments_parse(options->word_count, options->words, stdin, error);
  if (arguments == NULL)
    return report_usage(options, out, "%s", error);
  const char *trace = choose_trace(options->trace, uuid);
  int code = begin(&session, options, out, trace);
  if (code != 0) {
    yyjson_mut_doc_free(arguments);
    return code;
  }
  calling.arguments = yyjson_mut_doc_get_root(arguments);
  if (yyjson_mut_obj_size(calling.arguments) > 0)
    session_list_tools(&session, list_ms(options), on_tools, &calling);
  if (calling.lost) {
    session_end(&session, 0);
    code = begin(&session, options, out, trace);
  }
  if (code != 0 || calling.failed) {
    yyjson_mut_doc_free(arguments);
    if (code != 0)
      return code;
  } else {
    session_renew(&session);
    session_call(&session, options->tool, arguments, on_answer, &calling);
  }
  return session_end(&session, calling.code);
}
