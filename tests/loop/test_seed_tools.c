/* test_seed_tools.c: tools defined by components before this library existed (tests/data/seed_tools.json): a
 * server of each component accepts them and lists them unchanged. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

enum { TOOLS_MAX = 64, COMPONENTS = 6 };

static void never_called(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args, (void)arg;
  mcp_call_tool_error(call, "defined, not made");
}

/* What one component defined. */
typedef struct definitions {
  const char *component;
  yyjson_val *tools[TOOLS_MAX]; /* of the file */
  size_t count;
  bool listed;
} definitions_t;

static const char *text_of(yyjson_val *definition, const char *name) {
  const char *text = yyjson_get_str(yyjson_obj_get(definition, name));
  cr_assert_not_null(text, "a definition without %s", name);
  return text;
}

static mcp_server_t *server_of(const definitions_t *defined) {
  mcp_tool_t tools[TOOLS_MAX + 1] = {0};
  char *schemas[TOOLS_MAX];
  for (size_t i = 0; i < defined->count; i++) {
    schemas[i] = yyjson_val_write(yyjson_obj_get(defined->tools[i], "inputSchema"), 0, NULL);
    tools[i].name = text_of(defined->tools[i], "name");
    tools[i].description = text_of(defined->tools[i], "description");
    tools[i].input_schema = schemas[i];
    tools[i].handler = never_called;
  }
  mcp_server_t *server = mcp_server_new(defined->component, "1.0.0", 0, tools);
  cr_assert_not_null(server, "%s: %s", defined->component, mcp_last_error());
  for (size_t i = 0; i < defined->count; i++)
    free(schemas[i]);
  return server;
}

static void on_listed(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  static const char *const members[] = {"name", "description", "inputSchema"};
  definitions_t *defined = arg;
  (void)client;
  cr_assert_eq(result->status, 0, "%s", result->message);
  cr_assert_eq(yyjson_arr_size(result->value), defined->count);
  for (size_t i = 0; i < defined->count; i++) {
    yyjson_val *tool = yyjson_arr_get(result->value, i);
    cr_assert_eq(yyjson_obj_size(tool), 3);
    for (size_t m = 0; m < 3; m++)
      cr_assert(
          yyjson_equals(yyjson_obj_get(tool, members[m]), yyjson_obj_get(defined->tools[i], members[m])),
          "%s of %s", members[m], text_of(defined->tools[i], "name"));
  }
  defined->listed = true;
}

static void list_and_compare(definitions_t *defined) {
  mcp_server_t *server = server_of(defined);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  mcp_client_t *client = client_new_to(mcp_server_port(server));
  cr_assert_eq(mcp_client_list_tools(client, NULL, on_listed, defined), 0);
  RUN_UNTIL(defined->listed);
  client_close_and_free(client);
  test_server_stop(server);
  cr_expect_not(fixture_logged("not a keyword"), "%s: %s", defined->component, fixture_log());
}

/* Those of one component stand together in the file. Answers how many components there are. */
static size_t read_definitions(yyjson_val *file, definitions_t *components) {
  size_t index, max, count = 0;
  yyjson_val *definition;
  yyjson_arr_foreach(file, index, max, definition) {
    const char *component = text_of(definition, "component");
    if (count == 0 || strcmp(components[count - 1].component, component) != 0) {
      cr_assert_lt(count, COMPONENTS);
      components[count++].component = component;
    }
    definitions_t *defined = &components[count - 1];
    cr_assert_lt(defined->count, TOOLS_MAX);
    defined->tools[defined->count++] = definition;
  }
  return count;
}

Test(seed_tools, are_taken_and_listed_word_for_word) {
  definitions_t components[COMPONENTS] = {0};
  yyjson_doc *file = yyjson_read_file(TEST_DATA "/seed_tools.json", 0, NULL, NULL);
  cr_assert_eq(yyjson_arr_size(yyjson_doc_get_root(file)), 40, "%s", TEST_DATA "/seed_tools.json");
  fixture_setup();
  cr_assert_eq(read_definitions(yyjson_doc_get_root(file), components), COMPONENTS);
  for (size_t i = 0; i < COMPONENTS; i++)
    list_and_compare(&components[i]);
  yyjson_doc_free(file);
  fixture_teardown();
}
