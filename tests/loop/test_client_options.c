/* test_client_options.c: the options of a call: time-out, trace id, id, and progress. A fake server records
 * the requests and sends invalid progress notifications. */
#include "fixture.h"

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
static const char *asked(const fake_server_t *fake, size_t index) {
  RUN_UNTIL(fake->last != NULL && fake->last->count > 2 + index);
  return fake->last->messages[2 + index];
}

static void make(mcp_client_t *client, const mcp_call_options_t *options, call_record_t *record) {
  cr_assert_eq(mcp_client_call(client, "x", NULL, options, record_result, record), 0);
  cr_assert_eq(record->fired, 0);
}

static void answer(fake_server_t *fake, const char *request) {
  raw_client_send_text(fake->last, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"content\":[]}}",
                       message_id(request));
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

static void report(fake_server_t *fake, const char *token, const char *members) {
  raw_client_send_text(
      fake->last,
      "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":%s,%s}}",
      token, members);
  raw_client_sync(fake->last);
}

/* ---- time-out, trace, id ---- */

Test(client_options, hold_a_time_out) {
  call_record_t late = {0}, patient = {0};
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  fixture_freeze_clock();
  make(client, &(mcp_call_options_t){.timeout_ms = 70}, &late);
  make(client, NULL, &patient);
  asked(fake, 1);
  fixture_advance_ms(70);
  RUN_UNTIL(late.fired);
  cr_assert_eq(late.status, MCP_ETIMEOUT);
  cr_assert_not_null(strstr(late.message, "no answer within 70 ms"), "%s", late.message);
  fixture_advance_ms(30000 - 70);
  RUN_UNTIL(patient.fired);
  cr_assert_not_null(strstr(patient.message, "no answer within 30000 ms"), "%s", patient.message);
  fixture_unfreeze_clock();
  client_close_and_free(client);
  fixture_teardown();
}

Test(client_options, add_nothing_unless_they_are_set) {
  call_record_t plain = {0}, zeroed = {0}, request = {0};
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  make(client, NULL, &plain);
  make(client, &(mcp_call_options_t){0}, &zeroed);
  cr_assert_eq(mcp_client_request(client, "ping", NULL, &(mcp_call_options_t){0}, record_result, &request),
               0);
  cr_assert_null(strstr(asked(fake, 0), "_meta"));
  cr_assert_null(strstr(asked(fake, 1), "_meta"));
  cr_assert_null(strstr(asked(fake, 2), "params"));
  client_close_and_free(client);
  fixture_teardown();
}

Test(client_options, name_the_trace_of_one_call) {
  call_record_t named = {0}, other = {0}, request = {0};
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  cr_assert_eq(mcp_client_set_trace_id(client, "of the client"), 0);
  make(client, &(mcp_call_options_t){.trace_id = "of the \"call\""}, &named);
  make(client, NULL, &other);
  cr_assert_eq(mcp_client_request(client, "tools/call",
                                  parse_args("{\"name\":\"y\",\"_meta\":{\"trace_id\":1,\"k\":2}}"),
                                  &(mcp_call_options_t){.trace_id = "of a request"}, record_result, &request),
               0);
  cr_assert_not_null(strstr(asked(fake, 0), "\"_meta\":{\"trace_id\":\"of the \\\"call\\\"\"}"));
  cr_assert_not_null(strstr(asked(fake, 1), "\"_meta\":{\"trace_id\":\"of the client\"}"));
  const char *sent = asked(fake, 2);
  cr_assert(strstr(sent, "\"trace_id\":\"of a request\"") != NULL && strstr(sent, "\"k\":2") != NULL &&
                strstr(sent, "\"trace_id\":1") == NULL,
            "%s", sent);
  client_close_and_free(client);
  fixture_teardown();
}

Test(client_options, that_are_wrong_make_no_call) {
  char long_id[130];
  uint64_t id = 7;
  call_record_t record = {0};
  memset(long_id, 't', 129);
  long_id[129] = '\0';
  const mcp_call_options_t rows[] = {{.trace_id = "", .id = &id},
                                     {.trace_id = long_id},
                                     {.trace_id = "\xff"},
                                     {.reserved = {[2] = &id}},
                                     {.reserved = {[0] = &id}}};
  fixture_setup();
  mcp_client_t *client = client_new_to(unused_port());
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    cr_expect_eq(mcp_client_call(client, "x", parse_args("{}"), &rows[i], record_result, &record), UV_EINVAL);
    cr_expect_eq(mcp_client_request(client, "x", parse_args("{}"), &rows[i], record_result, &record),
                 UV_EINVAL);
    cr_expect_eq(mcp_client_list_tools(client, &rows[i], record_result, &record), UV_EINVAL);
  }
  static const char *const params[] = {"[1]", "1", "{\"_meta\":1}"};
  for (size_t i = 0; i < 3; i++)
    cr_expect_eq(mcp_client_request(client, "x", parse_args(params[i]),
                                    &(mcp_call_options_t){.trace_id = "t"}, record_result, &record),
                 UV_EINVAL);
  cr_expect_eq(id, 7);
  client_close_and_free(client);
  cr_expect_eq(record.fired, 0);
  fixture_teardown();
}

Test(client_options, give_the_id_to_cancel_by) {
  uint64_t ids[3] = {0};
  call_record_t records[3] = {0};
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  make(client, &(mcp_call_options_t){.id = &ids[0]}, &records[0]);
  cr_assert_eq(mcp_client_request(client, "ping", NULL, &(mcp_call_options_t){.id = &ids[1]}, record_result,
                                  &records[1]),
               0);
  cr_assert_eq(
      mcp_client_list_tools(client, &(mcp_call_options_t){.id = &ids[2]}, record_result, &records[2]), 0);
  for (size_t i = 0; i < 3; i++)
    cr_assert_eq(message_id(asked(fake, i)), (int)ids[i]);
  for (size_t i = 0; i < 3; i++)
    cr_assert_eq(mcp_client_cancel(client, ids[i]), 0);
  for (size_t i = 0; i < 3; i++) {
    RUN_UNTIL(records[i].fired);
    cr_assert_eq(records[i].status, MCP_ECANCELED);
  }
  client_close_and_free(client);
  fixture_teardown();
}

/* ---- progress ---- */

Test(client_options, hear_of_progress) {
  reports_t first = {0}, second = {0};
  call_record_t records[2] = {0};
  char tokens[2][64];
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  make(client, &(mcp_call_options_t){.progress_cb = on_report, .progress_arg = &first, .trace_id = "t"},
       &records[0]);
  cr_assert_eq(mcp_client_request(client, "any", NULL,
                                  &(mcp_call_options_t){.progress_cb = on_report, .progress_arg = &second},
                                  record_result, &records[1]),
               0);
  for (size_t i = 0; i < 2; i++)
    token_of(asked(fake, i), tokens[i]);
  cr_assert(*tokens[0] == '"' && *tokens[1] == '"' && strcmp(tokens[0], tokens[1]) != 0);
  report(fake, tokens[0], "\"progress\":0,\"total\":4,\"message\":\"begun\"");
  cr_assert(first.count == 1 && first.progress == 0 && first.total == 4);
  cr_assert_str_eq(first.message, "begun");
  report(fake, tokens[1], "\"progress\":0.5");
  cr_assert(second.count == 1 && second.progress == 0.5 && second.total == 0 && second.without_message);
  cr_assert_eq(first.count, 1);
  for (size_t i = 0; i < 2; i++) {
    answer(fake, asked(fake, i));
    RUN_UNTIL(records[i].fired);
    cr_assert_eq(records[i].status, 0);
    report(fake, tokens[i], "\"progress\":9");
  }
  cr_assert(first.count == 1 && second.count == 1, "after the end");
  client_close_and_free(client);
  fixture_teardown();
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
  call_record_t record = {0};
  char token[64];
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  mcp_client_on_notification(client, on_note, NULL);
  make(client, &(mcp_call_options_t){.progress_cb = on_report, .progress_arg = &reports}, &record);
  token_of(asked(fake, 0), token);
  report(fake, token, "\"progress\":2,\"total\":-4,\"message\":5");
  cr_assert(reports.count == 1 && reports.total == 0 && reports.without_message);
  for (size_t i = 0; i < sizeof dropped / sizeof dropped[0]; i++)
    report(fake, token, dropped[i]);
  cr_assert_eq(reports.count, 1);
  report(fake, token, "\"progress\":2.5");
  cr_assert_eq(reports.count, 2);
  report(fake, "\"iccm-4711\"", "\"progress\":1"); /* of a call that has ended, or never was */
  cr_assert_eq(notes, 0);
  static const char *const foreign[] = {"1", "\"iccm-\"", "\"iccm-01\"", "\"iccm-1 \"", "\"mine\"", "null"};
  for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
    report(fake, foreign[i], "\"progress\":9");
  cr_assert_eq(notes, sizeof foreign / sizeof foreign[0]);
  cr_assert_eq(reports.count, 2);
  client_close_and_free(client);
  fixture_teardown();
}

/* 1,024 bytes are whole; a longer one is cut between characters. */
Test(client_options, cut_a_long_message) {
  char text[1100], members[1200], token[64];
  reports_t reports = {0};
  call_record_t record = {0};
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  make(client, &(mcp_call_options_t){.progress_cb = on_report, .progress_arg = &reports}, &record);
  token_of(asked(fake, 0), token);
  memset(text, 'm', sizeof text);
  text[1024] = '\0';
  snprintf(members, sizeof members, "\"progress\":1,\"message\":\"%s\"", text);
  report(fake, token, members);
  cr_assert_str_eq(reports.message, text);
  strcpy(text + 1023, "\xc3\xa4");
  snprintf(members, sizeof members, "\"progress\":2,\"message\":\"%s\"", text);
  report(fake, token, members);
  cr_assert_eq(strlen(reports.message), 1023);
  cr_assert_eq(strncmp(reports.message, text, 1023), 0);
  client_close_and_free(client);
  fixture_teardown();
}

Test(client_options, hear_no_progress_once_cancelled) {
  reports_t reports = {0};
  call_record_t record = {0};
  char token[64];
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  reports.cancels = client; /* from inside of the first report */
  make(client, &(mcp_call_options_t){.progress_cb = on_report, .progress_arg = &reports, .id = &reports.id},
       &record);
  token_of(asked(fake, 0), token);
  fixture_freeze_clock(); /* its end is due, and does not come yet */
  raw_client_send_text(
      fake->last,
      "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":%s,"
      "\"progress\":1}}",
      token);
  report(fake, token, "\"progress\":2");
  cr_assert_eq(reports.count, 1);
  fixture_unfreeze_clock();
  RUN_UNTIL(record.fired);
  cr_assert_eq(record.status, MCP_ECANCELED);
  client_close_and_free(client);
  fixture_teardown();
}

Test(client_options, progress_may_close_the_client) {
  reports_t reports = {0};
  call_record_t record = {0};
  char token[64];
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  reports.closes = client;
  make(client, &(mcp_call_options_t){.progress_cb = on_report, .progress_arg = &reports}, &record);
  token_of(asked(fake, 0), token);
  for (int i = 1; i < 4; i++)
    raw_client_send_text(
        fake->last,
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":%s,"
        "\"progress\":%d}}",
        token, i);
  RUN_UNTIL(record.fired && fake->last->ended);
  cr_assert_eq(reports.count, 1);
  cr_assert_eq(record.status, MCP_ECLOSED);
  fixture_iterate_once();
  mcp_client_free(client);
  fixture_teardown();
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
  call_record_t record = {0};
  fixture_setup();
  mcp_server_t *server = mcp_server_new("progress", "1", 0, tools);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  mcp_client_t *client = client_new_to(mcp_server_port(server));
  make(client, &(mcp_call_options_t){.progress_cb = on_report, .progress_arg = &reports}, &record);
  RUN_UNTIL(record.fired);
  cr_assert(reports.count == 1 && reports.progress == 3 && reports.total == 4);
  cr_assert_str_eq(reports.message, "nearly");
  client_close_and_free(client);
  test_server_stop(server);
  fixture_teardown();
}
