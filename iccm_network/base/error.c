/* error.c: a text for every error code of the library. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <uv.h>

static _Thread_local char last_error[512];

#define IS_SAME(name, number, text)                                                                          \
  _Static_assert((int)(name) == (int)UV_##number, "libuv's code and the header's differ");
MCP_SYSTEM_ERROR_MAP(IS_SAME)
#undef IS_SAME

static const char *json_rpc_text(int code) {
  switch (code) {
  case MCP_PARSE_ERROR:
    return "parse error";
  case MCP_INVALID_REQUEST:
    return "invalid request";
  case MCP_METHOD_NOT_FOUND:
    return "method not found";
  case MCP_INVALID_PARAMS:
    return "invalid params";
  case MCP_INTERNAL_ERROR:
    return "internal error";
  default:
    return code >= -32099 && code <= MCP_TOOL_ERROR ? "tool error" : "unknown error";
  }
}

const char *mcp_strerror(int code) {
  switch (code) {
  case 0:
    return "success";
#define TEXT_OF(name, number, text)                                                                          \
  case name:                                                                                                 \
    return text;
    MCP_ERROR_MAP(TEXT_OF)
#undef TEXT_OF
#define TEXT_OF(name, text)                                                                                  \
  case UV_##name:                                                                                            \
    return text;
    UV_ERRNO_MAP(TEXT_OF)
#undef TEXT_OF
  default:
    return json_rpc_text(code);
  }
}

const char *mcp_last_error(void) {
  return last_error;
}

void mcp__set_last_error(const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(last_error, sizeof last_error, format, args);
  va_end(args);
}
