/* test_client_options.c: what a call's options do: its time-out, trace id, id, and the reports of its
 * progress. A trap shows what is sent, and sends what a server should not. */
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct reports {
  size_t count;
  double progress, total;
  char message[1100];
  bool without_message;
  mcp_client_t *cancels, *closes; /* NULL: nothing; at the first report */
  uint64_t id;
} reports_t;

static void on_report(mcp_client_t *client, const mcp_progress_t *progress, void *arg) {
  reports_t *reports = arg;
  reports->count++;
  reports->progress = progress->progress;
  reports->total = progress->total;
  reports->without_message = progress->message == NULL;
  snprintf(reports->message, sizeof reports->message, "%s",
           progress->message != NULL ? progress->message : "");
  if (reports->cancels == client)
    cr_expect_eq(mcp_client_cancel(client, reports->id), 0);
  if (reports->closes == client)
    cr_expect_eq(mcp_client_close(client, NULL, NULL), 0);
}

/* Of a client with a call or more, once all of them have come. */
static const char *asked(const trap_t *trap, size_t index) {
  RUN_UNTIL(trap->last != NULL && trap->last->count > 2 + index);
  return trap->last->messages[2 + index];
}

static void make(mcp_client_t *client, const mcp_call_options_t *options, outcome_t *outcome) {
  cr_assert_eq(mcp_client_call(client, "x", NULL, options, outcome_cb, outcome), 0);
  cr_assert_eq(outcome->fired, 0);
}

static void answer(trap_t *trap, const char *request) {
  wire_text(trap->last, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"content\":[]}}", message_id(request));
}

/* The token of a request as JSON, or "". */
static void token_of(const char *request, char token[64]) {
  yyjson_doc *doc = yyjson_read(request, strlen(request), 0);
  yyjson_val *value = yyjson_ptr_get(yyjson_doc_get_root(doc), "/params/_meta/progressToken");
  char *text = value != NULL ? yyjson_val_write(value, 0, NULL) : NULL;
  snprintf(token, 64, "%s", text != NULL ? text : "");
  free(text);
  yyjson_doc_free(doc);
}

static void report(trap_t *trap, const char *token, const char *members) {
  wire_text(
      trap->last,
      "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":%s,%s}}",
      token, members);
  wire_settle(trap->last);
}

/* ---- time-out, trace, id ---- */

Test(client_options, hold_a_time_out) {
  outcome_t late = {0}, patient = {0};
  scene_open();
  trap_t *trap = trap_open(script_upgrade, NULL);
  mcp_client_t *client = client_to(trap->port);
  scene_hold_clock();
  make(client, &(mcp_call_options_t){.timeout_ms = 70}, &late);
  make(client, NULL, &patient);
  asked(trap, 1);
  scene_pass_ms(70);
  RUN_UNTIL(late.fired);
  cr_assert_eq(late.status, MCP_ETIMEOUT);
  cr_assert_not_null(strstr(late.message, "no answer within 70 ms"), "%s", late.message);
  scene_pass_ms(30000 - 70);
  RUN_UNTIL(patient.fired);
  cr_assert_not_null(strstr(patient.message, "no answer within 30000 ms"), "%s", patient.message);
  scene_release_clock();
  client_end(client);
  scene_close();
}

Test(client_options, add_nothing_unless_they_are_set) {
  outcome_t plain = {0}, zeroed = {0}, request = {0};
  scene_open();
  trap_t *trap = trap_open(script_upgrade, NULL);
  mcp_client_t *client = client_to(trap->port);
  make(client, NULL, &plain);
  make(client, &(mcp_call_options_t){0}, &zeroed);
  cr_assert_eq(mcp_client_request(client, "ping", NULL, &(mcp_call_options_t){0}, outcome_cb, &request), 0);
  cr_assert_null(strstr(asked(trap, 0), "_meta"));
  cr_assert_null(strstr(asked(trap, 1), "_meta"));
  cr_assert_null(strstr(asked(trap, 2), "params"));
  client_end(client);
  scene_close();
}

Test(client_options, name_the_trace_of_one_call) {
  outcome_t named = {0}, other = {0}, request = {0};
  scene_open();
  trap_t *trap = trap_open(script_upgrade, NULL);
  mcp_client_t *client = client_to(trap->port);
  cr_assert_eq(mcp_client_set_trace_id(client, "of the client"), 0);
  make(client, &(mcp_call_options_t){.trace_id = "of the \"call\""}, &named);
  make(client, NULL, &other);
  cr_assert_eq(mcp_client_request(client, "tools/call",
                                  args_of("{\"name\":\"y\",\"_meta\":{\"trace_id\":1,\"k\":2}}"),
                                  &(mcp_call_options_t){.trace_id = "of a request"}, outcome_cb, &request),
               0);
  cr_assert_not_null(strstr(asked(trap, 0), "\"_meta\":{\"trace_id\":\"of the \\\"call\\\"\"}"));
  cr_assert_not_null(strstr(asked(trap, 1), "\"_meta\":{\"trace_id\":\"of the client\"}"));
  const char *sent = asked(trap, 2);
  cr_assert(strstr(sent, "\"trace_id\":\"of a request\"") != NULL && strstr(sent, "\"k\":2") != NULL &&
                strstr(sent, "\"trace_id\":1") == NULL,
            "%s", sent);
  client_end(client);
  scene_close();
}

Test(client_options, that_are_wrong_make_no_call) {
  char long_id[130];
  uint64_t id = 7;
  outcome_t outcome = {0};
  memset(long_id, 't', 129);
  long_id[129] = '\0';
  const mcp_call_options_t rows[] = {{.trace_id = "", .id = &id},
                                     {.trace_id = long_id},
                                     {.trace_id = "\xff"},
                                     {.reserved = {[3] = &id}},
                                     {.reserved = {[0] = &id}}};
  scene_open();
  mcp_client_t *client = client_to(trap_free_port());
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    cr_expect_eq(mcp_client_call(client, "x", args_of("{}"), &rows[i], outcome_cb, &outcome), UV_EINVAL);
    cr_expect_eq(mcp_client_request(client, "x", args_of("{}"), &rows[i], outcome_cb, &outcome), UV_EINVAL);
    cr_expect_eq(mcp_client_list_tools(client, &rows[i], outcome_cb, &outcome), UV_EINVAL);
  }
  static const char *const params[] = {"[1]", "1", "{\"_meta\":1}"};
  for (size_t i = 0; i < 3; i++)
    cr_expect_eq(mcp_client_request(client, "x", args_of(params[i]), &(mcp_call_options_t){.trace_id = "t"},
                                    outcome_cb, &outcome),
                 UV_EINVAL);
  cr_expect_eq(id, 7);
  client_end(client);
  cr_expect_eq(outcome.fired, 0);
  scene_close();
}

Test(client_options, give_the_id_to_cancel_by) {
  uint64_t ids[3] = {0};
  outcome_t outcomes[3] = {0};
  scene_open();
  trap_t *trap = trap_open(script_upgrade, NULL);
  mcp_client_t *client = client_to(trap->port);
  make(client, &(mcp_call_options_t){.id = &ids[0]}, &outcomes[0]);
  cr_assert_eq(mcp_client_request(client, "ping", NULL, &(mcp_call_options_t){.id = &ids[1]}, outcome_cb,
                                  &outcomes[1]),
               0);
  cr_assert_eq(mcp_client_list_tools(client, &(mcp_call_options_t){.id = &ids[2]}, outcome_cb, &outcomes[2]),
               0);
  for (size_t i = 0; i < 3; i++)
    cr_assert_eq(message_id(asked(trap, i)), (int)ids[i]);
  for (size_t i = 0; i < 3; i++)
    cr_assert_eq(mcp_client_cancel(client, ids[i]), 0);
  for (size_t i = 0; i < 3; i++) {
    RUN_UNTIL(outcomes[i].fired);
    cr_assert_eq(outcomes[i].status, MCP_ECANCELED);
  }
  client_end(client);
  scene_close();
}

/* ---- progress ---- */

Test(client_options, hear_of_progress) {
  reports_t first = {0}, second = {0};
  outcome_t outcomes[2] = {0};
  char tokens[2][64];
  scene_open();
  trap_t *trap = trap_open(script_upgrade, NULL);
  mcp_client_t *client = client_to(trap->port);
  make(client, &(mcp_call_options_t){.progress_cb = on_report, .progress_arg = &first, .trace_id = "t"},
       &outcomes[0]);
  cr_assert_eq(mcp_client_request(client, "any", NULL,
                                  &(mcp_call_options_t){.progress_cb = on_report, .progress_arg = &second},
                                  outcome_cb, &outcomes[1]),
               0);
  for (size_t i = 0; i < 2; i++)
    token_of(asked(trap, i), tokens[i]);
  cr_assert(*tokens[0] == '"' && *tokens[1] == '"' && strcmp(tokens[0], tokens[1]) != 0);
  report(trap, tokens[0], "\"progress\":0,\"total\":4,\"message\":\"begun\"");
  cr_assert(first.count == 1 && first.progress == 0 && first.total == 4);
  cr_assert_str_eq(first.message, "begun");
  report(trap, tokens[1], "\"progress\":0.5");
  cr_assert(second.count == 1 && second.progress == 0.5 && second.total == 0 && second.without_message);
  cr_assert_eq(first.count, 1);
  for (size_t i = 0; i < 2; i++) {
    answer(trap, asked(trap, i));
    RUN_UNTIL(outcomes[i].fired);
    cr_assert_eq(outcomes[i].status, 0);
    report(trap, tokens[i], "\"progress\":9");
  }
  cr_assert(first.count == 1 && second.count == 1, "after the end");
  client_end(client);
  scene_close();
}

static size_t notes;

static void on_note(mcp_client_t *client, const char *method, yyjson_val *params, void *arg) {
  (void)client;
  (void)method;
  (void)params;
  (void)arg;
  notes++;
}

Test(client_options, drop_what_is_no_progress) {
  static const char *const dropped[] = {
      "\"progress\":2", "\"progress\":1.5",  "\"progress\":-1",  "\"progress\":\"3\"",
      "\"total\":3",    "\"progress\":null", "\"progress\":[3]", "\"message\":\"nothing\""};
  reports_t reports = {0};
  outcome_t outcome = {0};
  char token[64];
  scene_open();
  trap_t *trap = trap_open(script_upgrade, NULL);
  mcp_client_t *client = client_to(trap->port);
  mcp_client_on_notification(client, on_note, NULL);
  make(client, &(mcp_call_options_t){.progress_cb = on_report, .progress_arg = &reports}, &outcome);
  token_of(asked(trap, 0), token);
  report(trap, token, "\"progress\":2,\"total\":-4,\"message\":5");
  cr_assert(reports.count == 1 && reports.total == 0 && reports.without_message);
  for (size_t i = 0; i < sizeof dropped / sizeof dropped[0]; i++)
    report(trap, token, dropped[i]);
  cr_assert_eq(reports.count, 1);
  report(trap, token, "\"progress\":2.5");
  cr_assert_eq(reports.count, 2);
  report(trap, "\"iccm-4711\"", "\"progress\":1"); /* of a call that has ended, or never was */
  cr_assert_eq(notes, 0);
  static const char *const foreign[] = {"1", "\"iccm-\"", "\"iccm-01\"", "\"iccm-1 \"", "\"mine\"", "null"};
  for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
    report(trap, foreign[i], "\"progress\":9");
  cr_assert_eq(notes, sizeof foreign / sizeof foreign[0]);
  cr_assert_eq(reports.count, 2);
  client_end(client);
  scene_close();
}

/* 1,024 bytes are whole; a longer one is cut between characters. */
Test(client_options, cut_a_long_message) {
  char text[1100], members[1200], token[64];
  reports_t reports = {0};
  outcome_t outcome = {0};
  scene_open();
  trap_t *trap = trap_open(script_upgrade, NULL);
  mcp_client_t *client = client_to(trap->port);
  make(client, &(mcp_call_options_t){.progress_cb = on_report, .progress_arg = &reports}, &outcome);
  token_of(asked(trap, 0), token);
  memset(text, 'm', sizeof text);
  text[1024] = '\0';
  snprintf(members, sizeof members, "\"progress\":1,\"message\":\"%s\"", text);
  report(trap, token, members);
  cr_assert_str_eq(reports.message, text);
  strcpy(text + 1023, "\xc3\xa4");
  snprintf(members, sizeof members, "\"progress\":2,\"message\":\"%s\"", text);
  report(trap, token, members);
  cr_assert_eq(strlen(reports.message), 1023);
  cr_assert_eq(strncmp(reports.message, text, 1023), 0);
  client_end(client);
  scene_close();
}

Test(client_options, hear_no_progress_once_cancelled) {
  reports_t reports = {0};
  outcome_t outcome = {0};
  char token[64];
  scene_open();
  trap_t *trap = trap_open(script_upgrade, NULL);
  mcp_client_t *client = client_to(trap->port);
  reports.cancels = client; /* from inside of the first report */
  make(client, &(mcp_call_options_t){.progress_cb = on_report, .progress_arg = &reports, .id = &reports.id},
       &outcome);
  token_of(asked(trap, 0), token);
  scene_hold_clock(); /* its end is due, and does not come yet */
  wire_text(trap->last,
            "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":%s,"
            "\"progress\":1}}",
            token);
  report(trap, token, "\"progress\":2");
  cr_assert_eq(reports.count, 1);
  scene_release_clock();
  RUN_UNTIL(outcome.fired);
  cr_assert_eq(outcome.status, MCP_ECANCELED);
  client_end(client);
  scene_close();
}

Test(client_options, progress_may_close_the_client) {
  reports_t reports = {0};
  outcome_t outcome = {0};
  char token[64];
  scene_open();
  trap_t *trap = trap_open(script_upgrade, NULL);
  mcp_client_t *client = client_to(trap->port);
  reports.closes = client;
  make(client, &(mcp_call_options_t){.progress_cb = on_report, .progress_arg = &reports}, &outcome);
  token_of(asked(trap, 0), token);
  for (int i = 1; i < 4; i++)
    wire_text(trap->last,
              "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":%s,"
              "\"progress\":%d}}",
              token, i);
  RUN_UNTIL(outcome.fired && trap->last->ended);
  cr_assert_eq(reports.count, 1);
  cr_assert_eq(outcome.status, MCP_ECLOSED);
  scene_turn_once();
  mcp_client_free(client);
  scene_close();
}

static void progress_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  cr_assert_eq(mcp_call_progress(call, 3, 4, "nearly"), 0);
  mcp_call_reply_text(call, "4", 1);
}

Test(client_options, hear_a_servers_progress) {
  const mcp_tool_t tools[] = {{.name = "x", .handler = progress_tool}, MCP_TOOL_END};
  reports_t reports = {0};
  outcome_t outcome = {0};
  scene_open();
  mcp_server_t *server = mcp_server_new("progress", "1", 0, tools);
  cr_assert_eq(mcp_server_start(server, &scene_loop), 0);
  mcp_client_t *client = client_to(mcp_server_port(server));
  make(client, &(mcp_call_options_t){.progress_cb = on_report, .progress_arg = &reports}, &outcome);
  RUN_UNTIL(outcome.fired);
  cr_assert(reports.count == 1 && reports.progress == 3 && reports.total == 4);
  cr_assert_str_eq(reports.message, "nearly");
  client_end(client);
  stage_stop(server);
  scene_close();
}
