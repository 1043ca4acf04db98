/* error_report.h: failures as one line for people, JSON for programs and an exit code for scripts. */
#ifndef ICCM_CLI_ERROR_REPORT_H
#define ICCM_CLI_ERROR_REPORT_H

#include <iccm_network.h>
#include "options.h"
#include "print.h"

/* What a result that is not a success means. stage: how far the connection came. */
int report_exit_code(const mcp_result_t *result, mcp_stage_t stage);

/* Says what failed on stderr, with --json also on stdout; what: "tools/list", the tool's name. Returns the
 * exit code. */
int report_failure(const options_t *options, const print_t *out, const char *what, const mcp_result_t *result,
                   mcp_stage_t stage);

/* The same for what fails before anything is sent: ICCM_USAGE. */
int report_usage_error(const options_t *options, const print_t *out, const char *format, ...)
    MCP_PRINTF(3, 4);

/* Judges all writing to stdout, where it ends: code, or ICCM_USAGE where it failed and somebody reads it. */
int report_output_error(int code);

#endif
