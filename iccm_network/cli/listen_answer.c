/* listen_answer.c: what a server without tools answers, except that a call of any tool gets the result
 * "received".
 *
 * Failure: a message that violates JSON-RPC or MCP gets the error of a server of the library.
 */
#include "listen_answer.h"

#include <string.h>
#include "mcp/dispatch.h"
#include "mcp/modern.h"
#include "server/http_exchange.h"
#include "server/http_headers.h"
#include "check_alloc.h"

enum { MAX_VALUES = 1000000, MAX_MEMBERS = 512 };

static const char server_name[] = "iccm-listen";

void listen_answer_init(listen_answer_t *answer, size_t max_message) {
  static const mcp_tool_t none[] = {MCP_TOOL_END};
  char problem[256];
  memset(answer, 0, sizeof *answer);
  mcp__arena_init(&answer->arena, 4 * max_message);
  mcp__buf_init(&answer->members_buffer, MAX_MEMBERS, NULL);
  bool ok = mcp__tools_init(&answer->tools, none, problem, sizeof problem) == 0 &&
            mcp__modern_write_members(&answer->members_buffer, server_name, ICCM_VERSION) == 0 &&
            mcp__buf_append(&answer->members_buffer, "", 1) == 0;
  answer->members = check_alloc(ok ? answer->members_buffer.data : NULL);
}

void listen_answer_deinit(listen_answer_t *answer) {
  mcp__tools_deinit(&answer->tools);
  mcp__arena_deinit(&answer->arena);
  mcp__buf_deinit(&answer->members_buffer);
}

/* Of a request without the header: 2025-03-26 over HTTP. */
static mcp__protocol_version_t version_of(const mcp__head_t *head) {
  const char *name = head != NULL ? mcp__head_value(head, MCP__H_MCP_VERSION) : NULL;
  mcp__protocol_version_t version = head != NULL ? MCP__2025_03_26 : MCP__2024_11_05;
  if (name != NULL && !mcp__protocol_version_parse(name, strlen(name), &version))
    version = MCP__2026_07_28; /* then the body has to name it, too, and learns that it is unknown */
  return version;
}

/* A call of a tool, whichever it is. */
static bool is_call(const mcp__message_t *message, const mcp__dispatch_result_t *result) {
  return result->action == MCP__DO_REFUSE && !result->is_malformed &&
         yyjson_equals_str(message->method, "tools/call") &&
         yyjson_is_str(yyjson_obj_get(message->params, "name"));
}

static int write_response(mcp__buf_t *out, const mcp__response_context_t *to,
                          const mcp__dispatch_result_t *result) {
  static const char received[] = "[{\"type\":\"text\",\"text\":\"received\"}]";
  if (result->action == MCP__DO_CALL)
    return mcp__response_content(out, to, received, sizeof received - 1, NULL, 0, false);
  return mcp__dispatch_write(out, to, result);
}

static void refuse_listen(mcp__dispatch_result_t *result) {
  result->action = MCP__DO_REFUSE;
  result->code = MCP_METHOD_NOT_FOUND;
  result->problem = "iccm listen has no subscriptions";
}

static int respond(const listen_answer_t *answer, mcp__buf_t *out, const mcp__message_t *message,
                   const mcp__dispatch_result_t *result) {
  bool modern = result->protocol_version >= MCP__2026_07_28;
  mcp__response_context_t to = {.id = message->id,
                                .id_len = message->id_len,
                                .protocol_version = result->protocol_version,
                                .members = modern ? answer->members : ""};
  bool is_params = result->code == MCP_INVALID_PARAMS && !result->is_malformed;
  int kind = result->action == MCP__DO_REFUSE && !is_params ? result->code : MCP__SEND_RESPONSE;
  return write_response(out, &to, result) == 0 ? mcp__exchange_status(modern, kind) : -1;
}

int listen_respond(listen_answer_t *answer, mcp__buf_t *out, mcp__buf_t *text, const mcp__head_t *head) {
  mcp__server_info_t info = {.name = server_name,
                             .version = ICCM_VERSION,
                             .tools = &answer->tools,
                             .result_members = answer->members};
  mcp__message_t message;
  mcp__dispatch_result_t result;
  memset(text->data + text->len, 0, MCP__JSON_PADDING);
  mcp__jsonrpc_parse(text->data, text->len, MAX_VALUES, &answer->arena, &message);
  mcp__dispatch(&info, version_of(head), &message, &answer->arena, &result);
  if (is_call(&message, &result))
    result.action = MCP__DO_CALL;
  if (result.action == MCP__DO_LISTEN)
    refuse_listen(&result);
  if (head != NULL && result.protocol_version >= MCP__2026_07_28 && message.kind == MCP__REQUEST)
    mcp__http_check_headers(head, &message, &answer->arena, &result);
  bool is_answered = message.kind == MCP__REQUEST || message.kind == MCP__INVALID;
  int status = is_answered ? respond(answer, out, &message, &result) : 202;
  mcp__arena_reset(&answer->arena);
  return status;
}
