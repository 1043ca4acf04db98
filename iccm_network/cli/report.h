/* report.h: failures as one line for people, JSON for programs and an exit code for scripts. */
#ifndef ICCM_CLI_REPORT_H
#define ICCM_CLI_REPORT_H

#include "cli.h"

/* What a result that is not a success means. connected: whether a connection came about. */
int report_exit_code(const mcp_result_t *result, bool connected);

/* Says what failed on stderr, with --json also on stdout; what: "tools/list", the tool's name. Returns the
 * exit code. */
int report_failure(const options_t *options, const print_t *out, const char *what, const mcp_result_t *result,
                   bool connected);

/* The same for what fails before anything is sent: ICCM_USAGE. */
int report_usage(const options_t *options, const print_t *out, const char *format, ...) MCP_PRINTF(3, 4);

/* An address as it may be shown: without its query, where a token may stand. The caller frees it. */
char *report_url(const char *url);

/* Judges all writing to stdout, where it ends: code, or ICCM_USAGE where it failed and somebody reads it. */
int report_output(int code);

#endif
