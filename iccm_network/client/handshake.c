/* handshake.c: see handshake.h. */
#include "client/handshake.h"

#include "mcp/protocol_version.h"

#include <stdio.h>
#include <string.h>

static bool has_version(yyjson_val *list, bool is_modern) {
  size_t index, max;
  yyjson_val *each;
  mcp__protocol_version_t version;
  yyjson_arr_foreach(list, index, max, each) {
    if (yyjson_is_str(each) &&
        mcp__protocol_version_parse(yyjson_get_str(each), yyjson_get_len(each), &version) &&
        (version >= MCP__2026_07_28) == is_modern)
      return true;
  }
  return false;
}

mcp__era_verdict_t mcp__judge_discover(int status, yyjson_val *root) {
  yyjson_val *result = yyjson_obj_get(root, "result"), *error = yyjson_obj_get(root, "error");
  yyjson_val *supported = yyjson_obj_get(result, "supportedVersions");
  int64_t code = yyjson_get_sint(yyjson_obj_get(error, "code"));
  bool is_other_client_error = status >= 400 && status < 500 && status != 401 && status != 403 &&
                               status != 406 && status != 415 && status != 429;
  if (code == MCP__UNSUPPORTED_VERSION)
    supported = yyjson_obj_get(yyjson_obj_get(error, "data"), "supported");
  bool knows_version = (status == 200 && error == NULL) || code == MCP__UNSUPPORTED_VERSION;
  if (knows_version && has_version(supported, true)) /* even if it refused the first attempt */
    return MCP__IS_MODERN;
  if (code <= MCP__HEADER_MISMATCH && code >= MCP__UNSUPPORTED_VERSION && !has_version(supported, false))
    return MCP__IS_NO_SERVER; /* a modern server that refuses us */
  bool is_response = status == 200 && (result != NULL || error != NULL);
  return is_other_client_error || is_response ? MCP__IS_LEGACY : MCP__IS_NO_SERVER;
}

static bool is_session(const char *session) {
  size_t len = strlen(session);
  for (size_t i = 0; i < len; i++)
    if (session[i] < 0x21 || session[i] > 0x7e)
      return false;
  return len > 0 && len <= MCP__SESSION_ID_MAX;
}

const char *mcp__judge_initialize(yyjson_val *result, const char *session, const char **version) {
  yyjson_val *name = yyjson_obj_get(result, "protocolVersion");
  mcp__protocol_version_t known;
  if (!yyjson_is_str(name) ||
      !mcp__protocol_version_parse(yyjson_get_str(name), yyjson_get_len(name), &known) ||
      known >= MCP__2026_07_28)
    return "the server answered initialize with a protocol version that is not supported";
  if (session != NULL && !is_session(session))
    return "the server answered initialize with an invalid Mcp-Session-Id";
  *version = mcp__protocol_version_name(known);
  return NULL;
}

void mcp__describe_refusal(yyjson_val *root, char *problem, size_t size) {
  yyjson_val *error = yyjson_obj_get(root, "error");
  const char *text = yyjson_get_str(yyjson_obj_get(error, "message"));
  snprintf(problem, size, "the server refused the handshake: %d, \"%.200s\"",
           yyjson_get_int(yyjson_obj_get(error, "code")), text != NULL ? text : "");
}
