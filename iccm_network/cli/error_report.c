/* error_report.c: a table maps each status to an exit code and a hint.
 *
 * A deadline that expires before an address has accepted the connection counts as unreachable, like the
 * library's own limit for connecting; a later one is a timeout.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "check_alloc.h"
#include "exit_codes.h"
#include "print.h"
#include "error_report.h"

enum { USAGE_SIZE = 512 };

typedef struct status_info {
  int status;
  int exit_code;
  const char *hint;
} status_info_t;

static const status_info_t status_infos[] = {
    {MCP_EURL, ICCM_USAGE, "use the form ws://host:port or http://host:port/path"},
    {MCP_EENCODE, ICCM_USAGE, ""},
    {MCP_EENV, ICCM_USAGE, ""},
    {MCP_ERESOLVE, ICCM_UNREACHABLE, "check the host name, or use its address"},
    {MCP_ECONNECT, ICCM_UNREACHABLE, "check that the server is running, and that this is its port"},
    {MCP_ETLS, ICCM_PROTOCOL, "`iccm doctor` shows the certificate"},
    {MCP_EUPGRADE, ICCM_PROTOCOL, "check that this is the address of an MCP server"},
    {MCP_EREFUSED, ICCM_REFUSED,
     "401: set ICCM_AUTH_TOKEN or --token to the server's token; 403: without a token the server admits only "
     "private networks, unless it runs with ICCM_ALLOW_PUBLIC=1, and serves /metrics under a public name "
     "only "
     "if ICCM_ALLOWED_HOSTS lists it"},
    {MCP_EPROTOCOL, ICCM_PROTOCOL, "use --verbose for details"},
    {MCP_ETOOBIG, ICCM_PROTOCOL, "request less at once"},
    {MCP_EBUSY, ICCM_PROTOCOL, "the request may have been executed; try again later"},
    {MCP_EDISCONNECTED, ICCM_PROTOCOL,
     "the request may have been executed; the server's log shows why it closed the connection"},
    {MCP_METHOD_NOT_FOUND, ICCM_PROTOCOL, "`iccm list` shows the server's tools"},
    {MCP_INVALID_PARAMS, ICCM_PROTOCOL, "`iccm list` shows the tool's arguments"},
};

static const status_info_t tool_error_info = {MCP_TOOL_ERROR, ICCM_TOOL, ""};
#define NO_HANDSHAKE_HINT "check that this is the address of an MCP server, and that the server does not hang"
static const status_info_t timeouts[] = {
    [MCP_STAGE_NONE] = {MCP_ETIMEOUT, ICCM_UNREACHABLE, ""},
    [MCP_STAGE_RESOLVING] = {MCP_ETIMEOUT, ICCM_UNREACHABLE,
                             "the name servers do not respond; use the host's address"},
    [MCP_STAGE_CONNECTING] = {MCP_ETIMEOUT, ICCM_UNREACHABLE,
                              "check the address, and whether a firewall drops the packets"},
    [MCP_STAGE_TLS] = {MCP_ETIMEOUT, ICCM_TIMEOUT, "check that the server speaks TLS on this port"},
    [MCP_STAGE_UPGRADE] = {MCP_ETIMEOUT, ICCM_TIMEOUT, NO_HANDSHAKE_HINT},
    [MCP_STAGE_INITIALIZE] = {MCP_ETIMEOUT, ICCM_TIMEOUT, NO_HANDSHAKE_HINT},
    [MCP_STAGE_OPEN] = {MCP_ETIMEOUT, ICCM_TIMEOUT, "raise the limit with --timeout SECONDS"},
};
/* In place of the hints above if the server is a program. */
static const struct {
  int status;
  const char *hint;
} program_hints[] = {
    {MCP_ECONNECT, "check the path of the program, and that it can be executed"},
    {MCP_EUPGRADE, "check that the program is an MCP server on standard input and output"},
    {MCP_EDISCONNECTED,
     "the request may have been executed; the program's messages on standard error may show why it ended"},
};
static const status_info_t other_info = {0, ICCM_PROTOCOL, ""};

static const status_info_t *info_of(const mcp_result_t *result, mcp_stage_t stage) {
  if (result->is_error || (result->status <= -32000 && result->status >= -32099))
    return &tool_error_info;
  if (result->status == MCP_ETIMEOUT)
    return &timeouts[stage];
  for (size_t i = 0; i < sizeof status_infos / sizeof status_infos[0]; i++) {
    if (status_infos[i].status == result->status)
      return &status_infos[i];
  }
  return &other_info;
}

static const char *hint_of(const options_t *options, const mcp_result_t *result, const status_info_t *info) {
  for (size_t i = 0; options->program != NULL && i < sizeof program_hints / sizeof program_hints[0]; i++)
    if (program_hints[i].status == result->status)
      return program_hints[i].hint;
  return info->hint;
}

int report_exit_code(const mcp_result_t *result, mcp_stage_t stage) {
  return info_of(result, stage)->exit_code;
}

static void print_error(const print_t *out, int code, const char *message, const char *hint, yyjson_val *data,
                        int exit_code) {
  yyjson_mut_doc *doc = check_alloc(yyjson_mut_doc_new(NULL));
  yyjson_mut_val *root = yyjson_mut_obj(doc), *error = yyjson_mut_obj(doc);
  yyjson_mut_doc_set_root(doc, root);
  yyjson_mut_obj_add_val(doc, root, "error", error);
  yyjson_mut_obj_add_int(doc, error, "code", code);
  yyjson_mut_obj_add_str(doc, error, "message", message);
  if (hint[0] != '\0')
    yyjson_mut_obj_add_str(doc, error, "hint", hint);
  if (data != NULL)
    yyjson_mut_obj_add_val(doc, error, "data", yyjson_val_mut_copy(doc, data));
  yyjson_mut_obj_add_int(doc, error, "exit_code", exit_code);
  yyjson_doc *written = check_alloc(yyjson_mut_doc_imut_copy(doc, NULL));
  print_json(out, yyjson_doc_get_root(written), false);
  yyjson_doc_free(written);
  yyjson_mut_doc_free(doc);
}

int report_failure(const options_t *options, const print_t *out, const char *operation,
                   const mcp_result_t *result, mcp_stage_t stage) {
  const status_info_t *info = info_of(result, stage);
  const char *hint = hint_of(options, result, info);
  const print_t err = {stderr, 0, false};
  int code = result->status != 0 ? result->status : MCP_TOOL_ERROR;
  yyjson_val *data = result->status != 0 ? result->value : NULL;
  fputs("iccm: ", stderr);
  print_line(&err, operation, strlen(operation), 0);
  fputs(": ", stderr);
  print_line(&err, result->message, strlen(result->message), 0);
  if (code <= -32000)
    fprintf(stderr, " (code %d)", code);
  if (hint[0] != '\0')
    fprintf(stderr, "; %s", hint);
  if (data != NULL) {
    char *text = check_alloc(yyjson_val_write(data, 0, NULL));
    fputs("; data: ", stderr);
    print_line(&err, text, strlen(text), 0);
    free(text);
  }
  fputc('\n', stderr);
  if (options->json)
    print_error(out, code, result->message, hint, data, info->exit_code);
  return info->exit_code;
}

int report_usage_error(const options_t *options, const print_t *out, const char *format, ...) {
  char text[USAGE_SIZE];
  const print_t err = {stderr, 0, false};
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  fputs("iccm: ", stderr);
  print_line(&err, text, strlen(text), 0);
  fputc('\n', stderr);
  if (options->json)
    print_error(out, 0, text, "", NULL, ICCM_USAGE);
  return ICCM_USAGE;
}

int report_output_error(int code) {
  if ((fflush(stdout) == 0 && !ferror(stdout)) || errno == EPIPE)
    return code;
  fprintf(stderr, "iccm: cannot write standard output: %s\n", strerror(errno));
  return ICCM_USAGE;
}
