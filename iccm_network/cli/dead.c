/* dead.c: `iccm dead list|replay|discard [N] [URL]`. Lists, replays or discards Godot's dead letters: log
 * entries that its store has rejected. Uses tools that Godot does not list.
 *
 * Failure: any failed call is reported and ends the command. A server without these tools gets its own
 * message. The client's deadline stops an endless series of pages.
 */
#include <errno.h>
#include <iccm_service.h>
#include <stdlib.h>
#include <string.h>
#include "check_alloc.h"
#include "commands.h"
#include "exit_codes.h"
#include "logline.h"
#include "print.h"
#include "error_report.h"
#include "log_query.h"
#include "sync_client.h"

enum { PAGE = 100, MAX_LETTERS = 1000000, MESSAGE_SIZE = 512 };

typedef struct dead {
  const print_t *out;
  const char *action;
  char tool[32];
  int64_t limit; /* the number given; 0: all */
  int64_t shown, total;
  bool more; /* there may be another page */
  int code;
} dead_t;

/* ---- results --------------------------------------------------------------------------------------- */

static void fail(sync_client_t *sync, dead_t *dead, const mcp_result_t *result) {
  char message[MESSAGE_SIZE];
  mcp_result_t adjusted = *result;
  if (result->status == MCP_METHOD_NOT_FOUND || result->status == MCP_INVALID_PARAMS) {
    snprintf(message, sizeof message, "%s: not a Godot server, or one without this tool", result->message);
    adjusted = (mcp_result_t){.status = MCP_METHOD_NOT_FOUND, .message = message};
  }
  dead->code = report_failure(sync->options, dead->out, dead->tool, &adjusted, sync_client_stage(sync));
}

static void fail_malformed(sync_client_t *sync, dead_t *dead) {
  const mcp_result_t malformed = {.status = MCP_EPROTOCOL,
                                  .message = "the tool's result has an unexpected form"};
  fail(sync, dead, &malformed);
}

static void show(const print_t *out, yyjson_val *letter) {
  yyjson_val *entry = yyjson_obj_get(letter, "entry"), *reason = yyjson_obj_get(letter, "reason");
  if (entry == NULL)
    entry = yyjson_obj_get(letter, "entry_base64");
  logline_time(out, logline_string(letter, "at"));
  fputc(' ', out->file);
  print_bold(out);
  print_line(out, yyjson_get_str(reason), yyjson_get_len(reason), 0);
  print_plain(out);
  fputs(": ", out->file);
  print_line(out, yyjson_get_str(entry), yyjson_get_len(entry), 0);
  fputc('\n', out->file);
}

static void on_letters(sync_client_t *sync, const mcp_result_t *result, void *arg) {
  dead_t *dead = arg;
  yyjson_val *letters = yyjson_obj_get(result->value, "letters"), *letter;
  yyjson_val *total = yyjson_obj_get(result->value, "total");
  size_t i, count;
  dead->more = false;
  if (result->status != 0 || result->is_error) {
    fail(sync, dead, result);
    return;
  }
  if (!yyjson_is_arr(letters) || !yyjson_is_int(total)) {
    fail_malformed(sync, dead);
    return;
  }
  yyjson_arr_foreach(letters, i, count, letter) {
    if (sync->options->json)
      print_json(dead->out, letter, false);
    else
      show(dead->out, letter);
  }
  dead->shown += (int64_t)count;
  dead->total = yyjson_get_sint(total);
  dead->more = count > 0 && dead->shown < dead->total && (dead->limit == 0 || dead->shown < dead->limit);
}

static void on_moved(sync_client_t *sync, const mcp_result_t *result, void *arg) {
  dead_t *dead = arg;
  yyjson_val *replayed = yyjson_obj_get(result->value, "replayed");
  yyjson_val *discarded = yyjson_obj_get(result->value, "discarded");
  if (result->status != 0 || result->is_error)
    fail(sync, dead, result);
  else if (!yyjson_is_int(replayed) && !yyjson_is_int(discarded))
    fail_malformed(sync, dead);
  else if (sync->options->json)
    print_json(dead->out, result->value, false);
  else if (yyjson_is_int(discarded))
    fprintf(dead->out->file, "%lld discarded\n", (long long)yyjson_get_sint(discarded));
  else
    fprintf(dead->out->file, "%lld put back into the queue, %lld kept: their entries are incomplete\n",
            (long long)yyjson_get_sint(replayed),
            (long long)yyjson_get_sint(yyjson_obj_get(result->value, "kept")));
}

/* ---- the command ----------------------------------------------------------------------------------- */

/* limit 0: the tool's default. */
static yyjson_mut_doc *make_args(int64_t limit, int64_t offset) {
  yyjson_mut_doc *doc = check_alloc(yyjson_mut_doc_new(NULL));
  yyjson_mut_val *args = check_alloc(yyjson_mut_obj(doc));
  yyjson_mut_doc_set_root(doc, args);
  if (limit > 0)
    yyjson_mut_obj_add_int(doc, args, "limit", limit);
  if (offset > 0)
    yyjson_mut_obj_add_int(doc, args, "offset", offset);
  return doc;
}

static void list(sync_client_t *sync, dead_t *dead) {
  do {
    int64_t left = dead->limit - dead->shown;
    int64_t limit = dead->limit == 0 || left > PAGE ? PAGE : left;
    sync_client_call(sync, dead->tool, make_args(limit, dead->shown), on_letters, dead);
  } while (dead->more);
  if (dead->code == ICCM_OK && dead->total == 0)
    fputs("iccm: there are no dead letters\n", stderr);
  else if (dead->code == ICCM_OK && dead->shown < dead->total)
    fprintf(stderr, "iccm: %lld more, newer than these\n", (long long)(dead->total - dead->shown));
}

/* Whether the argument is a number and not an address: one that begins with a digit has a colon or a dot. */
static bool is_number(const char *word) {
  return *word == '-' || (*word >= '0' && *word <= '9' && strpbrk(word, ".:/") == NULL);
}

static bool read_limit(const char *word, int64_t *limit) {
  char *end;
  errno = 0;
  *limit = strtoll(word, &end, 10);
  return errno == 0 && *end == '\0' && *limit >= 1 && *limit <= MAX_LETTERS;
}

int dead_run(const options_t *options, const print_t *out) {
  dead_t dead = {.out = out, .action = options->url}; /* the first argument */
  char shown[MCP_SHOWN_SIZE];
  options_t rest = *options;
  sync_client_t sync;
  bool is_list = strcmp(dead.action, "list") == 0;
  if (!is_list && strcmp(dead.action, "replay") != 0 && strcmp(dead.action, "discard") != 0)
    return report_usage_error(options, out, "invalid action %s: use list, replay or discard",
                              mcp_redact_setting(NULL, dead.action, shown));
  if (rest.arg_count > 0 && is_number(rest.args[0])) {
    if (!read_limit(rest.args[0], &dead.limit))
      return report_usage_error(options, out, "invalid number of dead letters: use 1 to %d", MAX_LETTERS);
    rest.args++;
    rest.arg_count--;
  }
  if (rest.arg_count > 1)
    return report_usage_error(options, out, "too many arguments; see iccm dead --help");
  const options_t godot_options = log_query_options(&rest);
  snprintf(dead.tool, sizeof dead.tool, "godot_dead_%s", dead.action);
  int code = sync_client_open(&sync, &godot_options, out);
  if (code != 0)
    return code;
  if (is_list)
    list(&sync, &dead);
  else
    sync_client_call(&sync, dead.tool, make_args(dead.limit, 0), on_moved, &dead);
  return sync_client_close(&sync, dead.code);
}
