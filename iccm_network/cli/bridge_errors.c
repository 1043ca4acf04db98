/* bridge_errors.c: the bridge's own output: log lines on standard error, and error responses to the host in
 * place of the server, each with a cause for programs and advice for users. */
#include "bridge.h"
#include "check_alloc.h"
#include "print.h"

#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const bridge_cause_t bridge_cause_away = {
    "away", "check that the server is running at this address; `iccm doctor URL` shows the cause"};
const bridge_cause_t bridge_cause_refused = {
    "refused", "401: set ICCM_AUTH_TOKEN or --token of iccm bridge to the server's token; 403: "
               "without a token the server admits only private networks"};
const bridge_cause_t bridge_cause_lost = {
    "lost", "the request may have been executed; the bridge reconnects automatically: repeat the "
            "request if that is safe"};
const bridge_cause_t bridge_cause_timeout = {
    "timeout", "the request may have been executed; raise the limit with --timeout SECONDS of iccm bridge"};
const bridge_cause_t bridge_cause_full = {"full",
                                          "1,024 requests, or 16 MiB, are already pending: try again later"};
const bridge_cause_t bridge_cause_ended = {"ended", "the bridge was stopped; start it again"};

void bridge_log(const char *format, ...) {
  char *text = NULL;
  size_t len;
  char words[BRIDGE_LOG_SIZE];
  struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
  va_list args;
  va_start(args, format);
  vsnprintf(words, sizeof words, format, args);
  va_end(args);
  print_t line = {.file = check_alloc(open_memstream(&text, &len))};
  fputs("iccm: ", line.file);
  print_line(&line, words, strlen(words), BRIDGE_LOG_SIZE);
  fputc('\n', line.file);
  fclose(line.file);
  if (poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) != 0)
    (void)!write(STDERR_FILENO, check_alloc(text), len);
  free(text);
}

mcp__buf_t bridge_new_buf(void) {
  mcp__buf_t buf;
  mcp__buf_init(&buf, SIZE_MAX / 4, NULL);
  return buf;
}

void bridge_write_line(bridge_t *bridge, const char *text, size_t len) {
  if (mcp__stdio_write_line(&bridge->stdio, text, len) != 0)
    check_alloc(NULL); /* never write half a line */
  mcp__stdio_flush(&bridge->stdio);
}

void bridge_write(bridge_t *bridge, mcp__buf_t *text, int status) {
  check_alloc(status == 0 ? text->data : NULL);
  bridge_write_line(bridge, text->data, text->len);
  mcp__buf_deinit(text);
}

void bridge_respond_error(bridge_t *bridge, const char *id, size_t id_len, int code, const char *error) {
  mcp__buf_t text = bridge_new_buf();
  int status = mcp__jsonrpc_error(&text, id, id_len, code, error, NULL, 0);
  bridge_write(bridge, &text, status);
}

void bridge_respond_cause(bridge_t *bridge, const char *id, size_t id_len, const bridge_cause_t *cause,
                          const char *error) {
  mcp__buf_t data = bridge_new_buf(), text = bridge_new_buf();
  const char *url = bridge->url; /* ASCII, as every valid URL */
  int status = mcp__buf_printf(&data, "{\"cause\":\"%s\",\"to_do\":", cause->name);
  status = mcp__buf_first_error(status, mcp__buf_json_string(&data, cause->to_do, strlen(cause->to_do)));
  status = mcp__buf_first_error(status, mcp__buf_puts(&data, ",\"url\":"));
  status = mcp__buf_first_error(status, mcp__buf_json_string(&data, url, strlen(url)));
  status = mcp__buf_first_error(status, mcp__buf_puts(&data, "}"));
  status = mcp__buf_first_error(
      status, mcp__jsonrpc_error(&text, id, id_len, MCP_TOOL_ERROR, error, data.data, data.len));
  mcp__buf_deinit(&data);
  bridge_write(bridge, &text, status);
}

void bridge_fail_request(bridge_t *bridge, bridge_pending_t *pending, const bridge_cause_t *cause,
                         const char *format, ...) {
  char error[2 * BRIDGE_ERROR_SIZE];
  va_list args;
  va_start(args, format);
  vsnprintf(error, sizeof error, format, args);
  va_end(args);
  if (pending->id_len > 0)
    bridge_respond_cause(bridge, pending->id, pending->id_len, cause, error);
  bridge_pending_remove(&bridge->host_requests, pending);
}
