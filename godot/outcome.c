/* outcome.c: see the header. Happy path: no error, ACCEPTED. Failure modes: none; a code that is not known
 * counts as AWAY, which costs nothing but time.
 */
#include "outcome.h"

outcome_t outcome_of(const mcp_result_t *result) {
  bool own_code = result->status <= MCP_TOOL_ERROR && result->status > MCP_TOOL_ERROR - 100;
  switch (result->status) {
  case 0:
    return result->is_error ? ILL : ACCEPTED;
  case MCP_INVALID_PARAMS:
  case MCP_ETOOBIG:
  case MCP_EANSWER:
    return REFUSED;
  case MCP_PARSE_ERROR:
  case MCP_INVALID_REQUEST:
  case MCP_INTERNAL_ERROR:
    return ILL;
  case MCP_ELOST:
    return LOST;
  default:
    return own_code ? ILL : AWAY;
  }
}

bool outcome_surely_not_stored(const mcp_result_t *result) {
  switch (result->status) {
  case MCP_ERESOLVE:
  case MCP_ECONNECT:
  case MCP_ETLS:
  case MCP_EUPGRADE:
  case MCP_EREFUSED:
  case MCP_EFULL:
  case MCP_ETOOBIG:
  case MCP_METHOD_NOT_FOUND:
  case MCP_INVALID_PARAMS:
    return true;
  default: /* a tool's own error says that its transaction was given up; any other may have come too late */
    return outcome_of(result) == ILL && result->status != MCP_INTERNAL_ERROR;
  }
}
