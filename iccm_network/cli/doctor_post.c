/* doctor_post.c: see doctor_post.h. Failure: where no connection is established, the exchange has one that
 * has ended, with the reason. */
#include "doctor_post.h"

#include <stdlib.h>
#include <string.h>
#include "mcp/protocol_version.h"
#include "transport/auth.h"
#include "check_alloc.h"
#include "doctor_messages.h"
#include "doctor_response.h"
#include "doctor_tls.h"

enum { MAX_REQUEST = 4 << 20, SHOWN_BODY = 128 };

static char *message_text(const doctor_request_t *request) {
  char *text = NULL;
  size_t len;
  FILE *file = check_alloc(open_memstream(&text, &len));
  fprintf(file, "{\"jsonrpc\":\"2.0\",%s\"method\":\"%s\"%s%s}", request->is_notification ? "" : "\"id\":1,",
          request->method, request->params != NULL ? ",\"params\":" : "",
          request->params != NULL ? request->params : "");
  fclose(file);
  return check_alloc(text);
}

static int write_post(mcp__buf_t *out, const mcp__http_target_t *to, const doctor_request_t *request) {
  mcp__outgoing_t message;
  char *text = message_text(request);
  int status = mcp__outgoing_read(&message, text, strlen(text), request->era, MAX_REQUEST);
  free(text);
  if (status != 0)
    return status;
  if (request->text != NULL) {
    mcp__buf_clear(&message.body, MAX_REQUEST);
    status = mcp__buf_puts(&message.body, request->text);
  }
  status = mcp__buf_first_error(status, mcp__http_write_post(out, to, &message, NULL));
  mcp__outgoing_deinit(&message);
  return status;
}

void doctor_send(doctor_t *doctor, raw_http_t *http, const doctor_request_t *request) {
  bool is_modern = request->era == MCP__ERA_MODERN;
  mcp__url_t url = doctor->url;
  mcp__http_target_t to = {.url = &url, .era = request->era};
  mcp__buf_t out;
  mcp__token_from_environment(&to.token); /* doctor_run() has validated it */
  to.version = is_modern ? mcp__protocol_version_name(MCP__2026_07_28) : doctor->version;
  to.session = !is_modern && *doctor->session != '\0' ? doctor->session : NULL;
  if (request->path != NULL)
    snprintf(url.path, sizeof url.path, "%s", request->path);
  mcp__buf_init(&out, MAX_REQUEST, NULL);
  int status = request->verb == NULL               ? write_post(&out, &to, request)
               : strcmp(request->verb, "GET") == 0 ? mcp__http_write_get(&out, &to, NULL)
                                                   : mcp__http_write_delete(&out, &to);
  if (status == 0)
    raw_http_send(http, &out);
  else /* UNTESTED: needs memory to run out */
    raw_conn_end(http->conn, status);
  mcp__buf_deinit(&out);
}

void doctor_ask(doctor_t *doctor, const raw_conn_t *to, raw_http_t *http, const doctor_request_t *request,
                uint64_t limit_ms) {
  raw_http_init(http, doctor_reconnect(doctor, to));
  if (http->conn->state == RAW_CONN_OPEN)
    doctor_send(doctor, http, request);
  net_wait(&doctor->net, raw_http_done, http, limit_ms);
}

int doctor_error_code(const raw_http_t *http) {
  return yyjson_get_int(yyjson_obj_get(yyjson_obj_get(raw_http_response(http), "error"), "code"));
}

void doctor_add_response(doctor_t *doctor, diagnosis_id_t diagnosis, const raw_http_t *http,
                         const char *what) {
  char text[DOCTOR_RESPONSE_SIZE], body[SHOWN_BODY] = "";
  yyjson_val *error = yyjson_obj_get(raw_http_response(http), "error");
  if (http->body.len > 0)
    snprintf(body, sizeof body, "%.*s", (int)(http->body.len < SHOWN_BODY ? http->body.len : SHOWN_BODY),
             http->body.data);
  if (error != NULL)
    snprintf(text, sizeof text, "responded HTTP %d, error %d, \"%.200s\"", raw_http_status(http),
             doctor_error_code(http), doctor_text_of(error, "message"));
  else
    doctor_describe_response(http->conn, body, text);
  doctor_add(doctor, diagnosis, http->conn->name, doctor_elapsed_ms(doctor), "%s%s%s %s", what,
             *what != '\0' ? ": " : "", http->conn->name, text);
}
