/* test_client_list_tools.c: mcp_client_list_tools() with one page, many pages and invalid pages. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t pages, looked_at;

static bool is_new(raw_client_t *peer) { /* not a close frame, for instance */
  bool is = script_handshake(peer) && peer->count > looked_at;
  looked_at = peer->count;
  return is;
}

/* Page n names its tool "tool<n>" and, before the third, the page n + 1. */
static void script_pages(raw_client_t *peer) {
  if (!is_new(peer))
    return;
  const char *message = peer->messages[peer->count - 1];
  const char *cursor = strstr(message, "\"cursor\":\"page");
  int page = cursor != NULL ? atoi(cursor + 14) : 0;
  char next[32] = "";
  if (page < 2)
    snprintf(next, sizeof next, ",\"nextCursor\":\"page%d\"", page + 1);
  pages++;
  raw_client_send_text(peer,
                       "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"tools\":[{\"name\":\"tool%d\"}]%s}}",
                       message_id(message), page, next);
}

static char listed[256];

static void on_listed(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  char *text = result->value != NULL ? yyjson_val_write(result->value, 0, NULL) : NULL;
  snprintf(listed, sizeof listed, "%s", text != NULL ? text : "");
  free(text);
  record_result(client, result, arg);
}

static void list(int port, uint64_t timeout_ms, call_record_t *record) {
  mcp_client_t *client = client_new_to(port);
  cr_assert_eq(mcp_client_list_tools(client, WITHIN(timeout_ms), on_listed, record), 0);
  cr_assert_eq(record->fired, 0);
  RUN_UNTIL(record->fired);
  client_close_and_free(client);
  cr_assert_eq(record->fired, 1);
}

Test(client_list_tools, lists_the_tools_of_all_pages) {
  call_record_t record = {0};
  fixture_setup();
  list(fake_server_open(script_pages, NULL)->port, 0, &record);
  cr_assert_eq(record.status, 0);
  cr_assert_str_eq(listed, "[{\"name\":\"tool0\"},{\"name\":\"tool1\"},{\"name\":\"tool2\"}]");
  cr_assert_eq(pages, 3);
  fixture_teardown();
}

Test(client_list_tools, lists_the_tools_of_a_real_server) {
  call_record_t record = {0};
  fixture_setup();
  mcp_server_t *server = test_server_start();
  list(mcp_server_port(server), 0, &record);
  cr_assert_eq(record.status, 0);
  cr_assert_eq(strncmp(listed, "[{\"name\":\"now\"", 14), 0, "%s", listed);
  test_server_stop(server);
  fixture_teardown();
}

typedef struct pager {
  const char *result; /* of each page; %d: its number */
  int number;
} pager_t;

static pager_t pager;

static void script_same(raw_client_t *peer) {
  char result[128];
  if (!is_new(peer))
    return;
  int number = ++pager.number;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  snprintf(result, sizeof result, pager.result, number);
#pragma GCC diagnostic pop
  raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":%s}",
                       message_id(peer->messages[peer->count - 1]), result);
}

static void list_fails(const char *result, int status, int asked) {
  call_record_t record = {0};
  fixture_setup();
  pager.result = result;
  list(fake_server_open(script_same, NULL)->port, 0, &record);
  cr_assert_eq(record.status, status);
  cr_assert_eq(pager.number, asked);
  cr_assert_gt(strlen(record.message), 0);
  fixture_teardown();
}

Test(client_list_tools, a_list_without_tools_is_none) {
  list_fails("{\"tools\":%d}", MCP_EPROTOCOL, 1);
}
Test(client_list_tools, a_page_that_names_itself) {
  list_fails("{\"tools\":[],\"nextCursor\":\"x\"}", MCP_EPROTOCOL, 2);
}
Test(client_list_tools, pages_without_end) {
  list_fails("{\"tools\":[],\"nextCursor\":\"%d\"}", MCP_EPROTOCOL, 1000);
}

static void script_large(raw_client_t *peer) {
  enum { BYTES = 8 << 20 };
  if (!is_new(peer))
    return;
  char *text = malloc(BYTES + 1);
  memset(text, 'x', BYTES);
  text[BYTES] = '\0';
  raw_client_send_text(
      peer, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"tools\":[\"%s\"],\"nextCursor\":\"%d\"}}",
      message_id(peer->messages[peer->count - 1]), text, ++pager.number);
  free(text);
}

Test(client_list_tools, a_list_that_is_too_large) {
  call_record_t record = {0};
  fixture_setup();
  list(fake_server_open(script_large, NULL)->port, LONG_TIMEOUT_MS, &record);
  cr_assert_eq(record.status, MCP_ETOOBIG, "%d", record.status);
  cr_assert_leq(pager.number, 8);
  fixture_teardown();
}

Test(client_list_tools, a_list_that_is_not_answered) {
  call_record_t record = {0};
  fixture_setup();
  list(fake_server_open(script_upgrade, NULL)->port, 100, &record);
  cr_assert_eq(record.status, MCP_ETIMEOUT);
  fixture_teardown();
}
