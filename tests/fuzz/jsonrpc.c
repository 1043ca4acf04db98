/* jsonrpc.c: an input is the text of a message. A request can be answered: its id is written back as the
 * same JSON value. With little memory the same text is parsed with the same result, or refused. */
#include "fuzz.h"

#include "mcp/jsonrpc.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_VALUES = 200, PLENTY = 1 << 20 };

static void check_answer(const mcp__buf_t *answer, const mcp__message_t *message) {
  yyjson_doc *doc = yyjson_read(answer->data, answer->len, YYJSON_READ_BIGNUM_AS_RAW);
  FUZZ_CHECK(doc != NULL);
  yyjson_val *id = yyjson_obj_get(yyjson_doc_get_root(doc), "id");
  if (message->id_value == NULL)
    FUZZ_CHECK(yyjson_is_null(id));
  else if (yyjson_is_str(id))
    FUZZ_CHECK(yyjson_equals(id, message->id_value));
  else
    FUZZ_CHECK(yyjson_get_type(id) == yyjson_get_type(message->id_value));
  yyjson_doc_free(doc);
}

static void answer(const mcp__message_t *message) {
  mcp__buf_t out;
  mcp__buf_init(&out, PLENTY, NULL);
  FUZZ_CHECK(mcp__jsonrpc_error(&out, message->id, message->id_len, message->code, "no", "[1]", 3) == 0);
  check_answer(&out, message);
  out.len = 0;
  FUZZ_CHECK(mcp__jsonrpc_begin_result(&out, message->id, message->id_len) == 0 &&
             mcp__buf_puts(&out, "{}}") == 0);
  check_answer(&out, message);
  mcp__buf_deinit(&out);
}

static void check(const mcp__message_t *message) {
  FUZZ_CHECK(message->id_len > 0);
  switch (message->kind) {
  case MCP__REQUEST:
  case MCP__NOTIFICATION:
    FUZZ_CHECK(yyjson_is_str(message->method));
    FUZZ_CHECK(message->params == NULL || yyjson_is_ctn(message->params));
    FUZZ_CHECK((message->kind == MCP__REQUEST) == (message->id_value != NULL));
    break;
  case MCP__RESPONSE:
    FUZZ_CHECK(message->result != NULL || message->error != NULL);
    break;
  case MCP__INVALID:
    FUZZ_CHECK(message->code == MCP_PARSE_ERROR || message->code == MCP_INVALID_REQUEST);
    FUZZ_CHECK(message->problem != NULL);
    break;
  }
}

static mcp__kind_t parse(const uint8_t *data, size_t size, size_t memory) {
  mcp__arena_t arena;
  mcp__message_t message;
  char *text = fuzz_copy(data, size, MCP__JSON_PADDING);
  mcp__arena_init(&arena, memory);
  mcp__jsonrpc_parse(text, size, MAX_VALUES, &arena, &message);
  check(&message);
  answer(&message);
  mcp__arena_deinit(&arena);
  free(text);
  return message.kind;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mcp__kind_t kind = parse(data, size, PLENTY), poor = parse(data, size, 8 * size + 200);
  FUZZ_CHECK(poor == kind || poor == MCP__INVALID);
  return 0;
}
