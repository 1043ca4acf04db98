/* store_result.c: see store_result.h. Happy path: no error, STORE_RESULT_ACCEPTED. Failure modes: none; an
 * unknown code counts as STORE_RESULT_UNAVAILABLE, which only delays the batch. */
#include "store_result.h"

static bool is_tool_error(const mcp_result_t *result) {
  bool own_code = result->status <= MCP_TOOL_ERROR && result->status > MCP_TOOL_ERROR - 100;
  return own_code || (result->status == 0 && result->is_error);
}

/* A store that is full or busy sets data.retry. Without it, entries that are refused while others still find
 * room would be taken for the cause. */
static bool asks_for_retry(const mcp_result_t *result) {
  return yyjson_is_true(yyjson_obj_get(result->value, "retry"));
}

store_result_t store_result_of(const mcp_result_t *result) {
  if (is_tool_error(result))
    return asks_for_retry(result) ? STORE_RESULT_UNAVAILABLE : STORE_RESULT_AMBIGUOUS;
  switch (result->status) {
  case 0:
    return STORE_RESULT_ACCEPTED;
  case MCP_INVALID_PARAMS:
  case MCP_ETOOBIG:
  case MCP_EENCODE:
    return STORE_RESULT_REFUSED;
  case MCP_PARSE_ERROR:
  case MCP_INVALID_REQUEST:
  case MCP_INTERNAL_ERROR:
    return STORE_RESULT_AMBIGUOUS;
  case MCP_EDISCONNECTED:
    return STORE_RESULT_DISCONNECTED;
  default:
    return STORE_RESULT_UNAVAILABLE;
  }
}

bool store_result_proves_not_stored(const mcp_result_t *result) {
  if (is_tool_error(result)) /* its transaction was rolled back */
    return true;
  switch (result->status) {
  case MCP_ERESOLVE:
  case MCP_ECONNECT:
  case MCP_ETLS:
  case MCP_EUPGRADE:
  case MCP_EREFUSED:
  case MCP_ELIMIT:
  case MCP_ETOOBIG:
  case MCP_METHOD_NOT_FOUND:
  case MCP_INVALID_PARAMS:
  case MCP_PARSE_ERROR:
  case MCP_INVALID_REQUEST:
    return true;
  default: /* the failure may have come after the entries were stored */
    return false;
  }
}
