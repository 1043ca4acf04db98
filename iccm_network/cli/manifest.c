/* manifest.c: `iccm manifest server|mcpb URL`. Prints a file that describes a running server: server.json for
 * the MCP registry, or manifest.json of an mcpb bundle with a binary.
 *
 * Happy path: the options are checked; initialize returns name, version and description, which options
 * override; for a bundle, tools/list returns the tools. Failure: a value that is missing or invalid is
 * reported with the option that sets it, and nothing is printed. If the server refuses a second initialize on
 * the connection, the options must set all values.
 *
 * Sources of the rules: schemas/2025-12-11/server.schema.json of github.com/modelcontextprotocol/static, and
 * for names and versions also internal/validators of github.com/modelcontextprotocol/registry;
 * schemas/mcpb-manifest-v0.3.schema.json and MANIFEST.md of github.com/modelcontextprotocol/mcpb. */
#include <iccm_service.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include "check_alloc.h"
#include "commands.h"
#include "error_report.h"
#include "sync_client.h"

#define SERVER_SCHEMA "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
#define BUNDLE "${__dirname}/" /* hosts replace the name by the bundle's directory */
enum kind { SERVER, MCPB, KINDS };
enum value_id { NAME, VERSION, DESCRIPTION, AUTHOR, COMMAND, REMOTE_URL, VALUES };

typedef struct rule {
  size_t max;          /* characters; 0: this kind has no such value */
  const char *pattern; /* POSIX, extended */
  const char *expected;
} rule_t;

typedef struct value_rules {
  const char *option, *member; /* member: of serverInfo, or NULL */
  rule_t of[KINDS];
} value_rules_t;

#define LINE 65535, "^[^[:cntrl:]]+$", "one line of text"
#define SHORT_LINE 100, "^[^[:cntrl:]]+$", "one line of 1 to 100 characters"
/* The registry wants a letter or digit at both ends of both halves. */
#define REGISTRY_NAME                                                                                        \
  200, "^[A-Za-z0-9][A-Za-z0-9.-]*[A-Za-z0-9]/[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]$",                       \
      "NAMESPACE/NAME as in io.github.user/weather, of letters, digits, . - and in NAME _; at most 200"
/* Not latest, and not a range: ^1.2, 1.x, 1 - 2. */
#define NO_VERSION "[:cntrl:] ^~<>=|*."
#define ONE_VERSION                                                                                          \
  255, "^v?[0-9][^" NO_VERSION "]*(\\.([^xX" NO_VERSION "]|[xX][^" NO_VERSION "-])[^" NO_VERSION "]*)*$",    \
      "one version as in 1.2.3, not a range; at most 255 characters"
#define PATH_PART "[^[:cntrl:]$\\/.][^[:cntrl:]$\\/]*"
#define BUNDLE_PATH                                                                                          \
  65535, "^" PATH_PART "(/" PATH_PART ")*$",                                                                 \
      "a path in the bundle as in server/weather, no part begins with a dot"
/* Braces would be a template, whose variables the file has to define. A password would be published. */
#define NO_URL "[:cntrl:] {}<>\"\\^`|"
#define WEB_URL                                                                                              \
  65535, "^https?://[^" NO_URL "/?#@:][^" NO_URL "/?#@]*([/?#][^" NO_URL "]*)?$",                            \
      "http:// or https:// and a host, without password, blanks and braces"
static const value_rules_t rules[VALUES] = {
    [NAME] = {"name", "name", {{REGISTRY_NAME}, {LINE}}},
    [VERSION] = {"server-version", "version", {{ONE_VERSION}, {ONE_VERSION}}},
    [DESCRIPTION] = {"description", "description", {{SHORT_LINE}, {LINE}}},
    [AUTHOR] = {"author", NULL, {[MCPB] = {LINE}}},
    [COMMAND] = {"command", NULL, {[MCPB] = {BUNDLE_PATH}}},
    [REMOTE_URL] = {"url", NULL, {[SERVER] = {WEB_URL}}},
};

typedef struct manifest {
  const options_t *options;
  const print_t *out;
  enum kind kind;
  const char *values[VALUES]; /* NULL: none */
  char *program;              /* its path with BUNDLE; owned */
  yyjson_mut_doc *doc;        /* owns all values that the server sent */
  yyjson_mut_val *tools;
  int code;
} manifest_t;

static bool fits(const rule_t *rule, const char *value) {
  regex_t regex;
  if (mbstowcs(NULL, value, 0) > rule->max) /* (size_t)-1: not UTF-8 */
    return false;
  if (regcomp(&regex, rule->pattern, REG_EXTENDED | REG_NOSUB) != 0) /* UNTESTED: needs memory to run out */
    check_alloc(NULL);
  bool matches = regexec(&regex, value, 0, NULL, 0) == 0;
  regfree(&regex);
  return matches;
}

/* Checks the values. complete: also that none is missing. Returns 0 or an exit code, after a report. */
static int check(const manifest_t *manifest, bool complete) {
  const options_t *options = manifest->options;
  const print_t *out = manifest->out;
  char shown[MCP_SHOWN_SIZE];
  for (int id = 0; id < VALUES; id++) {
    const rule_t *rule = &rules[id].of[manifest->kind];
    const char *value = manifest->values[id], *name = rules[id].option;
    if (value != NULL && rule->max == 0)
      return report_usage_error(options, out, "--%s is not an option of iccm manifest %s", name,
                                options->url);
    if (value == NULL && rule->max > 0 && complete && id != REMOTE_URL)
      return report_usage_error(options, out, "no %s given (set --%s)", name, name);
    if (value != NULL && !fits(rule, value))
      return report_usage_error(options, out, "invalid %s %s: expected %s (set --%s)", name,
                                mcp_redact_setting(NULL, value, shown), rule->expected, name);
  }
  if (manifest->kind == SERVER && options->arg_count > 0)
    return report_usage_error(options, out, "too many arguments; see iccm manifest --help");
  for (int i = 0; i < options->arg_count; i++) {
    if (mbstowcs(NULL, options->args[i], 0) == (size_t)-1)
      return report_usage_error(options, out, "argument %d of the program is not UTF-8", i + 1);
  }
  return 0;
}

/* Without --command: a program named as the server, without its namespace, in the directory server. */
static void set_program(manifest_t *manifest) {
  const char *command = manifest->values[COMMAND], *name = manifest->values[NAME];
  const char *slash = name != NULL ? strrchr(name, '/') : NULL;
  if (manifest->kind == SERVER || (command == NULL && name == NULL))
    return;
  size_t len;
  FILE *file = check_alloc(open_memstream(&manifest->program, &len));
  if (command != NULL)
    fprintf(file, "%s%s", BUNDLE, command);
  else
    fprintf(file, "%sserver/%s", BUNDLE, slash != NULL ? slash + 1 : name);
  fclose(file);
  manifest->values[COMMAND] = (char *)check_alloc(manifest->program) + strlen(BUNDLE);
}

static void on_info(sync_client_t *sync, const mcp_result_t *result, void *arg) {
  manifest_t *manifest = arg;
  if (result->status != 0 && result->status > MCP_TOOL_ERROR) /* not a JSON-RPC error */
    manifest->code =
        report_failure(sync->options, manifest->out, "initialize", result, sync_client_stage(sync));
  yyjson_val *info = yyjson_obj_get(result->status == 0 ? result->value : NULL, "serverInfo");
  for (int id = 0; id < VALUES; id++) {
    yyjson_val *value = rules[id].member != NULL ? yyjson_obj_get(info, rules[id].member) : NULL;
    if (manifest->values[id] == NULL && yyjson_get_len(value) > 0 && yyjson_is_str(value))
      manifest->values[id] = yyjson_mut_get_str(check_alloc(yyjson_val_mut_copy(manifest->doc, value)));
  }
}

static void on_tools(sync_client_t *sync, const mcp_result_t *result, void *arg) {
  manifest_t *manifest = arg;
  yyjson_mut_doc *doc = manifest->doc;
  size_t i, max;
  yyjson_val *tool;
  if (result->status != 0)
    manifest->code =
        report_failure(sync->options, manifest->out, "tools/list", result, sync_client_stage(sync));
  yyjson_arr_foreach(result->status == 0 ? result->value : NULL, i, max, tool) {
    yyjson_val *name = yyjson_obj_get(tool, "name"), *description = yyjson_obj_get(tool, "description");
    yyjson_mut_val *entry = yyjson_is_str(name) ? yyjson_mut_arr_add_obj(doc, manifest->tools) : NULL;
    yyjson_mut_obj_add_val(doc, entry, "name", yyjson_val_mut_copy(doc, name));
    if (yyjson_is_str(description))
      yyjson_mut_obj_add_val(doc, entry, "description", yyjson_val_mut_copy(doc, description));
  }
}

static void ask(manifest_t *manifest, sync_client_t *sync) {
  static const char params[] = "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},"
                               "\"clientInfo\":{\"name\":\"iccm\",\"version\":\"" ICCM_VERSION "\"}}";
  yyjson_doc *read = check_alloc(yyjson_read(params, sizeof params - 1, 0));
  sync_client_request(sync, "initialize", check_alloc(yyjson_doc_mut_copy(read, NULL)), on_info, manifest);
  yyjson_doc_free(read);
  if (manifest->code == 0 && manifest->kind == MCPB)
    sync_client_list_tools(sync, 0, on_tools, manifest);
}

static void add_server(yyjson_mut_doc *doc, yyjson_mut_val *root, const char *const *values) {
  yyjson_mut_obj_add_str(doc, root, "$schema", SERVER_SCHEMA);
  yyjson_mut_obj_add_str(doc, root, "name", values[NAME]);
  yyjson_mut_obj_add_str(doc, root, "description", values[DESCRIPTION]);
  yyjson_mut_obj_add_str(doc, root, "version", values[VERSION]);
  if (values[REMOTE_URL] == NULL)
    return;
  yyjson_mut_val *remote = yyjson_mut_arr_add_obj(doc, yyjson_mut_obj_add_arr(doc, root, "remotes"));
  yyjson_mut_obj_add_str(doc, remote, "type", "streamable-http");
  yyjson_mut_obj_add_str(doc, remote, "url", values[REMOTE_URL]);
}

static void add_mcpb(const manifest_t *manifest, yyjson_mut_doc *doc, yyjson_mut_val *root) {
  const char *const *values = manifest->values;
  yyjson_mut_obj_add_str(doc, root, "manifest_version", "0.3");
  yyjson_mut_obj_add_str(doc, root, "name", values[NAME]);
  yyjson_mut_obj_add_str(doc, root, "version", values[VERSION]);
  yyjson_mut_obj_add_str(doc, root, "description", values[DESCRIPTION]);
  yyjson_mut_obj_add_str(doc, yyjson_mut_obj_add_obj(doc, root, "author"), "name", values[AUTHOR]);
  yyjson_mut_val *server = yyjson_mut_obj_add_obj(doc, root, "server");
  yyjson_mut_obj_add_str(doc, server, "type", "binary");
  yyjson_mut_obj_add_str(doc, server, "entry_point", values[COMMAND]);
  yyjson_mut_val *config = yyjson_mut_obj_add_obj(doc, server, "mcp_config");
  yyjson_mut_obj_add_str(doc, config, "command", manifest->program);
  yyjson_mut_val *args = yyjson_mut_obj_add_arr(doc, config, "args");
  for (int i = 0; i < manifest->options->arg_count; i++)
    yyjson_mut_arr_add_str(doc, args, manifest->options->args[i]);
  yyjson_mut_obj_add_str(doc, yyjson_mut_obj_add_obj(doc, config, "env"), "ICCM_TRANSPORT", "stdio");
  yyjson_mut_obj_add_val(doc, root, "tools", manifest->tools);
  yyjson_mut_val *compatibility = yyjson_mut_obj_add_obj(doc, root, "compatibility");
  yyjson_mut_arr_add_str(doc, yyjson_mut_obj_add_arr(doc, compatibility, "platforms"), "linux");
}

static void show(const manifest_t *manifest) {
  yyjson_mut_val *root = yyjson_mut_obj(manifest->doc);
  yyjson_mut_doc_set_root(manifest->doc, root);
  if (manifest->kind == SERVER)
    add_server(manifest->doc, root, manifest->values);
  else
    add_mcpb(manifest, manifest->doc, root);
  yyjson_doc *written = check_alloc(yyjson_mut_doc_imut_copy(manifest->doc, NULL));
  print_json(manifest->out, yyjson_doc_get_root(written), !manifest->options->json);
  yyjson_doc_free(written);
}

static void make(manifest_t *manifest) {
  options_t options = *manifest->options;
  sync_client_t sync;
  options.url = options.tool; /* the second argument */
  manifest->code = sync_client_open(&sync, &options, manifest->out);
  if (manifest->code != 0)
    return;
  ask(manifest, &sync);
  set_program(manifest);
  if (manifest->code == 0 && (manifest->code = check(manifest, true)) == 0)
    show(manifest);
  sync_client_close(&sync, manifest->code);
}

int manifest_run(const options_t *options, const print_t *out) {
  char shown[MCP_SHOWN_SIZE];
  bool is_server = strcmp(options->url, "server") == 0;
  if (!is_server && strcmp(options->url, "mcpb") != 0)
    return report_usage_error(options, out, "invalid kind of manifest %s: expected server or mcpb",
                              mcp_redact_setting(NULL, options->url, shown));
  manifest_t manifest = {
      .options = options,
      .out = out,
      .kind = is_server ? SERVER : MCPB,
      .values = {options->name, options->server_version, options->description, options->author,
                 options->command, options->remote_url},
      .doc = check_alloc(yyjson_mut_doc_new(NULL)),
  };
  manifest.tools = yyjson_mut_arr(manifest.doc);
  manifest.code = check(&manifest, false);
  if (manifest.code == 0)
    make(&manifest);
  free(manifest.program);
  yyjson_mut_doc_free(manifest.doc);
  return manifest.code;
}
