/* doctor_http.c: MCP over HTTP, after it is known which versions are served: from `tools/list` to invalid
 * JSON.
 *
 * Happy path: each request, on a connection of its own, gets its response in time. Failure: no response, a
 * refusal by HTTP and a wrong response have different diagnoses. The stages are independent. No tool of the
 * server is called.
 */
#include "doctor_http.h"

#include <stdlib.h>
#include <string.h>
#include "doctor_messages.h"
#include "doctor_post.h"

enum { RESPONSE_MS = 4000, STREAM_MS = 4000, LARGE_MS = 6000, BAD_JSON_MS = 3000, END_MS = 1000 };

/* The session of an older version is preferred: the server does not count the errors that it gets there. */
static mcp__era_t preferred_era(const doctor_t *doctor) {
  return doctor->legacy ? MCP__ERA_LEGACY : MCP__ERA_MODERN;
}

/* The diagnosis for a request without any response of JSON-RPC. */
static diagnosis_id_t diagnose_missing(const doctor_t *doctor, const raw_http_t *http, mcp__era_t era) {
  int status = raw_http_status(http);
  bool names_session = era == MCP__ERA_LEGACY && (status == 400 || status == 404);
  if (names_session)
    return *doctor->session != '\0' ? DIAGNOSIS_SESSION_LOST : DIAGNOSIS_SESSION_MISSING;
  if (http->complete)
    return DIAGNOSIS_REQUEST_REFUSED;
  return http->conn->state == RAW_CONN_ENDED ? DIAGNOSIS_CLOSED
                                             : doctor_timeout_cause(doctor, DIAGNOSIS_SILENT);
}

/* ---- tools/list -------------------------------------------------------------------------------------- */

static void judge_tools(doctor_t *doctor, const raw_http_t *http, mcp__era_t era) {
  yyjson_val *result = yyjson_obj_get(raw_http_response(http), "result");
  yyjson_val *tools = yyjson_obj_get(result, "tools");
  int code = doctor_error_code(http), status = raw_http_status(http);
  char names[FINDING_WHAT_SIZE - 128] = "";
  bool is_session_error = era == MCP__ERA_LEGACY && code != 0 && (status == 400 || status == 404);
  if (raw_http_response(http) == NULL || is_session_error) {
    doctor_add_response(doctor, diagnose_missing(doctor, http, era), http, "tools/list");
  } else if (!yyjson_is_arr(tools)) {
    doctor_add_response(doctor,
                        code == MCP_METHOD_NOT_FOUND ? DIAGNOSIS_TOOLS_MISSING : DIAGNOSIS_TOOLS_ERROR, http,
                        "tools/list");
  } else {
    doctor_describe_tools(tools, names, sizeof names);
    doctor_add(doctor, DIAGNOSIS_NONE, http->conn->name, doctor_elapsed_ms(doctor), "%s: %zu%s tool%s%s",
               era == MCP__ERA_MODERN ? "2026-07-28" : doctor->version, yyjson_arr_size(tools),
               yyjson_obj_get(result, "nextCursor") != NULL ? " and more" : "",
               yyjson_arr_size(tools) == 1 ? "" : "s", names);
  }
}

static void list_tools(doctor_t *doctor, mcp__era_t era) {
  raw_http_t http;
  doctor_request_t request = {.era = era, .method = "tools/list", .params = "{}"};
  doctor->began_ns = uv_hrtime();
  doctor_ask(doctor, doctor->mcp_conn, &http, &request, RESPONSE_MS);
  judge_tools(doctor, &http, era);
  raw_http_deinit(&http);
}

bool doctor_list_tools_http(doctor_t *doctor) {
  if (doctor->modern)
    list_tools(doctor, MCP__ERA_MODERN);
  if (doctor->legacy)
    list_tools(doctor, MCP__ERA_LEGACY);
  return true;
}

/* ---- a stream of events ------------------------------------------------------------------------------ */

static const doctor_request_t listen_request = {.era = MCP__ERA_MODERN,
                                                .method = "subscriptions/listen",
                                                .params = "{\"notifications\":{\"toolsListChanged\":true}}"};
static const doctor_request_t get_request = {.era = MCP__ERA_LEGACY, .verb = "GET"};

/* The stream of an older version may be silent until there is a message: its head is enough. */
static bool has_begun(void *arg) {
  const raw_http_t *http = arg;
  return raw_http_done(arg) || http->is_events;
}

static void judge_stream(doctor_t *doctor, raw_http_t *http, bool begun) {
  if (begun)
    doctor_add(doctor, DIAGNOSIS_NONE, http->conn->name, doctor_elapsed_ms(doctor),
               "a stream of events begins at once");
  else if (http->complete) /* streams are optional */
    doctor_add_response(doctor, DIAGNOSIS_NONE, http, "no stream of events");
  else
    doctor_add_response(doctor,
                        http->conn->state == RAW_CONN_ENDED
                            ? DIAGNOSIS_CLOSED
                            : doctor_timeout_cause(doctor, DIAGNOSIS_STREAM_BUFFERED),
                        http, "a stream of events");
}

bool doctor_stream_http(doctor_t *doctor) {
  raw_http_t http;
  doctor_ask(doctor, doctor->mcp_conn, &http, doctor->modern ? &listen_request : &get_request, 0);
  net_wait(&doctor->net, doctor->modern ? raw_http_has_part : has_begun, &http, STREAM_MS);
  bool begun = http.is_events && !http.complete && (http.has_part || !doctor->modern);
  judge_stream(doctor, &http, begun);
  raw_http_deinit(&http);
  return true;
}

/* ---- a large message, invalid JSON ------------------------------------------------------------------- */

bool doctor_send_large_message_http(doctor_t *doctor) {
  raw_http_t http;
  char *call = doctor_large_call();
  doctor_request_t request = {.era = preferred_era(doctor), .method = "tools/call", .params = call};
  doctor_ask(doctor, doctor->mcp_conn, &http, &request, LARGE_MS);
  free(call);
  if (raw_http_response(&http) != NULL)
    doctor_add(doctor, DIAGNOSIS_NONE, http.conn->name, doctor_elapsed_ms(doctor),
               "a message of 1.5 MiB is answered");
  else
    doctor_add_response(doctor,
                        raw_http_status(&http) != 0 ? DIAGNOSIS_HTTP_LARGE_LIMIT
                        : http.conn->state == RAW_CONN_ENDED
                            ? DIAGNOSIS_LARGE_CLOSED
                            : doctor_timeout_cause(doctor, DIAGNOSIS_LARGE_SILENT),
                        &http, "a message of 1.5 MiB");
  raw_http_deinit(&http);
  return true;
}

static void end_session(doctor_t *doctor) {
  raw_http_t http;
  doctor_request_t request = {.era = MCP__ERA_LEGACY, .verb = "DELETE"};
  if (*doctor->session == '\0')
    return;
  doctor_ask(doctor, doctor->mcp_conn, &http, &request, END_MS);
  raw_http_deinit(&http);
}

bool doctor_send_bad_json_http(doctor_t *doctor) {
  raw_http_t http;
  doctor_request_t request = {
      .era = preferred_era(doctor), .method = "tools/list", .text = "{\"jsonrpc\":\"2.0\",\"method\":"};
  doctor_ask(doctor, doctor->mcp_conn, &http, &request, BAD_JSON_MS);
  if (doctor_error_code(&http) == MCP_PARSE_ERROR)
    doctor_add(doctor, DIAGNOSIS_NONE, http.conn->name, doctor_elapsed_ms(doctor),
               "bad JSON is answered with error %d", MCP_PARSE_ERROR);
  else
    doctor_add_response(doctor,
                        http.complete                        ? DIAGNOSIS_BAD_JSON_ANSWER
                        : http.conn->state == RAW_CONN_ENDED ? DIAGNOSIS_BAD_JSON_CLOSED
                                                             : DIAGNOSIS_BAD_JSON_SILENT,
                        &http, "bad JSON");
  raw_http_deinit(&http);
  end_session(doctor);
  return true;
}
