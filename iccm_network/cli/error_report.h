/* error_report.h: errors as one line for people, JSON for programs and an exit code for scripts. */
#ifndef ICCM_CLI_ERROR_REPORT_H
#define ICCM_CLI_ERROR_REPORT_H

#include <iccm_network.h>
#include "options.h"
#include "print.h"

/* The exit code for a failed result. stage: the stage that the connection reached. */
int report_exit_code(const mcp_result_t *result, mcp_stage_t stage);

/* Prints the error on stderr, with --json also on stdout, and returns the exit code. operation: the failed
 * operation, as "tools/list" or the tool's name. */
int report_failure(const options_t *options, const print_t *out, const char *operation,
                   const mcp_result_t *result, mcp_stage_t stage);

/* The same for an error before anything is sent. Returns ICCM_USAGE. */
int report_usage_error(const options_t *options, const print_t *out, const char *format, ...)
    MCP_PRINTF(3, 4);

/* Flushes stdout. Returns code, or ICCM_USAGE after reporting a write error; a closed pipe is no error. */
int report_output_error(int code);

#endif
