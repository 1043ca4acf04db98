/* error_report: exit codes and messages of failed results. */
#include "cli_test.h"
#include "exit_codes.h"
#include "error_report.h"

static const struct {
  int status;
  bool is_error;
  mcp_stage_t reached;
  int exit_code;
} results[] = {
    {0, true, MCP_STAGE_OPEN, ICCM_TOOL},
    {MCP_TOOL_ERROR, false, MCP_STAGE_OPEN, ICCM_TOOL},
    {-32099, false, MCP_STAGE_OPEN, ICCM_TOOL},
    {-32100, false, MCP_STAGE_OPEN, ICCM_PROTOCOL},
    {-31999, false, MCP_STAGE_OPEN, ICCM_PROTOCOL},
    {MCP_PARSE_ERROR, false, MCP_STAGE_OPEN, ICCM_PROTOCOL},
    {MCP_INVALID_REQUEST, false, MCP_STAGE_OPEN, ICCM_PROTOCOL},
    {MCP_METHOD_NOT_FOUND, false, MCP_STAGE_OPEN, ICCM_PROTOCOL},
    {MCP_INVALID_PARAMS, false, MCP_STAGE_OPEN, ICCM_PROTOCOL},
    {MCP_INTERNAL_ERROR, false, MCP_STAGE_OPEN, ICCM_PROTOCOL},
    {MCP_EURL, false, MCP_STAGE_CONNECTING, ICCM_USAGE},
    {MCP_EENCODE, false, MCP_STAGE_CONNECTING, ICCM_USAGE},
    {MCP_EENV, false, MCP_STAGE_CONNECTING, ICCM_USAGE},
    {MCP_ETIMEOUT, false, MCP_STAGE_OPEN, ICCM_TIMEOUT},
    {MCP_ETIMEOUT, false, MCP_STAGE_CONNECTING, ICCM_UNREACHABLE},
    {MCP_ETIMEOUT, false, MCP_STAGE_NONE, ICCM_UNREACHABLE},
    {MCP_ETIMEOUT, false, MCP_STAGE_RESOLVING, ICCM_UNREACHABLE},
    {MCP_ETIMEOUT, false, MCP_STAGE_TLS, ICCM_TIMEOUT},
    {MCP_ETIMEOUT, false, MCP_STAGE_UPGRADE, ICCM_TIMEOUT},
    {MCP_ETIMEOUT, false, MCP_STAGE_INITIALIZE, ICCM_TIMEOUT},
    {MCP_ERESOLVE, false, MCP_STAGE_CONNECTING, ICCM_UNREACHABLE},
    {MCP_ECONNECT, false, MCP_STAGE_CONNECTING, ICCM_UNREACHABLE},
    {MCP_EUPGRADE, false, MCP_STAGE_CONNECTING, ICCM_PROTOCOL},
    {MCP_EREFUSED, false, MCP_STAGE_CONNECTING, ICCM_REFUSED},
    {MCP_EPROTOCOL, false, MCP_STAGE_OPEN, ICCM_PROTOCOL},
    {MCP_EDISCONNECTED, false, MCP_STAGE_OPEN, ICCM_PROTOCOL},
    {MCP_EBUSY, false, MCP_STAGE_OPEN, ICCM_PROTOCOL},
    {MCP_ETOOBIG, false, MCP_STAGE_OPEN, ICCM_PROTOCOL},
};

Test(report, exit_codes) {
  for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
    mcp_result_t result = {.status = results[i].status, .is_error = results[i].is_error, .message = ""};
    cr_expect_eq(report_exit_code(&result, results[i].reached), results[i].exit_code, "status %d",
                 results[i].status);
  }
}

Test(report, failure_is_one_line_and_one_json_value, .init = cr_redirect_stderr) {
  yyjson_doc *data = json("{\"error_code\":\"FILE_NOT_FOUND\"}");
  mcp_result_t result = {
      .status = -32001, .value = yyjson_doc_get_root(data), .message = "no such file\nAND \033[31mMORE"};
  options_t options = {.json = true};
  capture_t captured;
  capture_begin(&captured, 0);
  cr_expect_eq(report_failure(&options, &captured.print, "horace_get", &result, MCP_STAGE_OPEN), ICCM_TOOL);
  capture_end(&captured, "{\"error\":{\"code\":-32001,\"message\":\"no such file\\nAND \\u001B[31mMORE\","
                         "\"data\":{\"error_code\":\"FILE_NOT_FOUND\"},\"exit_code\":5}}\n");
  fflush(stderr);
  cr_assert_stderr_eq_str("iccm: horace_get: no such file\\nAND \\u001b[31mMORE (code -32001); "
                          "data: {\"error_code\":\"FILE_NOT_FOUND\"}\n");
  yyjson_doc_free(data);
  assert_no_leaks();
}

Test(report, usage_names_what_is_wrong, .init = cr_redirect_stderr) {
  options_t options = {.json = false};
  capture_t captured;
  capture_begin(&captured, 0);
  cr_expect_eq(report_usage_error(&options, &captured.print, "%s is not a command", "fly"), ICCM_USAGE);
  capture_end(&captured, "");
  fflush(stderr);
  cr_assert_stderr_eq_str("iccm: fly is not a command\n");
  assert_no_leaks();
}
