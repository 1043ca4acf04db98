/* doctor_endpoint.c: finds out which versions of MCP are served at the URL, and if none, why.
 *
 * Happy path: the server answers server/discover (2026-07-28), initialize (before it), or both. Failure: a
 * response that no server of MCP sends is mapped to a diagnosis. A wrong path, and a server that speaks
 * WebSocket alone, are recognised by one more request.
 */
#include <stdlib.h>
#include <string.h>
#include "mcp/protocol_version.h"
#include "check_alloc.h"
#include "doctor_http.h"
#include "doctor_messages.h"
#include "doctor_post.h"
#include "doctor_response.h"
#include "doctor_tls.h"

enum { RESPONSE_MS = 4000, BODY_MS = 300, PROBE_MS = 1500 };

static const doctor_request_t discover = {.era = MCP__ERA_MODERN, .method = "server/discover"};
static const doctor_request_t initialize = {
    .era = MCP__ERA_LEGACY,
    .method = "initialize",
    .params = "{\"protocolVersion\":\"2025-11-25\","
              "\"capabilities\":{\"experimental\":{\"iccm/doctor\":{}}},"
              "\"clientInfo\":{\"name\":\"iccm-doctor\",\"version\":\"" ICCM_VERSION "\"}}"};
static const doctor_request_t initialized = {
    .era = MCP__ERA_LEGACY, .method = "notifications/initialized", .is_notification = true};

/* ---- diagnosis --------------------------------------------------------------------------------------- */

/* Whether MCP is served at the path that is most common. */
static bool is_served_at_mcp(doctor_t *doctor, const raw_conn_t *asked) {
  raw_http_t http;
  doctor_request_t request = discover;
  request.path = "/mcp";
  if (strcmp(doctor->url.path, request.path) == 0)
    return false;
  doctor_ask(doctor, asked, &http, &request, PROBE_MS);
  bool is_served = raw_http_response(&http) != NULL;
  raw_http_deinit(&http);
  return is_served;
}

static bool switches_to_websocket(doctor_t *doctor, const raw_conn_t *asked) {
  raw_conn_t *conn = doctor_reconnect(doctor, asked);
  if (conn->state != RAW_CONN_OPEN)
    return false;
  raw_conn_upgrade(conn, &doctor->url);
  net_wait(&doctor->net, raw_conn_upgrade_done, conn, PROBE_MS);
  return conn->state == RAW_CONN_WEBSOCKET; /* closed with the net */
}

static diagnosis_id_t diagnose_status(int status) {
  switch (status) {
  case 401:
    return DIAGNOSIS_UNAUTHORIZED;
  case 403:
    return DIAGNOSIS_FORBIDDEN;
  case 404:
  case 410:
    return DIAGNOSIS_NO_ENDPOINT;
  case 405:
  case 501:
    return DIAGNOSIS_NO_POST;
  case 406:
    return DIAGNOSIS_NOT_ACCEPTABLE;
  case 415:
    return DIAGNOSIS_MEDIA_TYPE;
  case 429:
  case 503:
    return DIAGNOSIS_BUSY;
  case 502:
  case 504:
    return DIAGNOSIS_GATEWAY;
  default:
    return status >= 200 && status < 300   ? DIAGNOSIS_HTTP_PAGE
           : status >= 300 && status < 400 ? DIAGNOSIS_REDIRECT
                                           : DIAGNOSIS_HTTP_OTHER_STATUS;
  }
}

/* What is wrong where nothing but the response, or its absence, is known. */
static diagnosis_id_t diagnose_response(const doctor_t *doctor, const raw_http_t *http) {
  if (raw_http_response(http) != NULL)
    return DIAGNOSIS_NO_VERSION;
  if (http->complete)
    return diagnose_status(raw_http_status(http));
  if (http->head_state == MCP__HEAD_BAD && http->head.status != 413)
    return doctor_other_protocol(http->conn);
  if (http->conn->initial_len > 0)
    return DIAGNOSIS_HTTP_UNFINISHED;
  return http->conn->state == RAW_CONN_ENDED ? DIAGNOSIS_HTTP_CLOSED
                                             : doctor_timeout_cause(doctor, DIAGNOSIS_HTTP_SILENT);
}

static bool may_be_elsewhere(diagnosis_id_t diagnosis) {
  return diagnosis == DIAGNOSIS_NO_ENDPOINT || diagnosis == DIAGNOSIS_NO_POST ||
         diagnosis == DIAGNOSIS_HTTP_PAGE || diagnosis == DIAGNOSIS_HTTP_OTHER_STATUS;
}

/* Many web servers answer 400 in plain text on their TLS port. */
static bool is_tls_port(doctor_t *doctor, const raw_http_t *http) {
  bool is_possible = !http->complete || (raw_http_status(http) == 400 && raw_http_response(http) == NULL);
  return !doctor->url.tls && is_possible && doctor_speaks_tls(doctor, http->conn);
}

static diagnosis_id_t diagnose(doctor_t *doctor, const raw_http_t *http) {
  diagnosis_id_t diagnosis = diagnose_response(doctor, http);
  if (may_be_elsewhere(diagnosis) && is_served_at_mcp(doctor, http->conn))
    return DIAGNOSIS_WRONG_PATH;
  if ((may_be_elsewhere(diagnosis) || diagnosis == DIAGNOSIS_HTTP_CLOSED ||
       diagnosis == DIAGNOSIS_HTTP_UNFINISHED) &&
      switches_to_websocket(doctor, http->conn))
    return DIAGNOSIS_ONLY_WEBSOCKET;
  return diagnosis;
}

/* ---- server/discover --------------------------------------------------------------------------------- */

typedef struct attempts {
  doctor_t *doctor;
  raw_http_t list[DOCTOR_MAX_ADDRESSES]; /* one to each address that accepted */
} attempts_t;

static bool all_done(void *arg) {
  attempts_t *attempts = arg;
  bool done = true;
  for (size_t i = 0; i < attempts->doctor->address_count; i++)
    done = (attempts->list[i].conn == NULL || raw_http_done(&attempts->list[i])) && done;
  return done;
}

static void add_identity(doctor_t *doctor, const raw_http_t *http) {
  yyjson_val *result = yyjson_obj_get(raw_http_response(http), "result");
  yyjson_val *info = yyjson_obj_get(yyjson_obj_get(result, "_meta"), MCP__META_SERVER_INFO);
  doctor_add(doctor, DIAGNOSIS_NONE, http->conn->name, doctor_elapsed_ms(doctor),
             "%s serves %.100s %.50s, MCP protocol version 2026-07-28", http->conn->name,
             doctor_text_of(info, "name"), doctor_text_of(info, "version"));
}

/* Judges the response of one address. */
static void judge_discover(doctor_t *doctor, raw_http_t *http) {
  yyjson_val *root = raw_http_response(http);
  mcp__era_verdict_t verdict = mcp__judge_discover(raw_http_status(http), root);
  bool is_served = verdict == MCP__IS_MODERN;
  if (is_tls_port(doctor, http)) {
    doctor_add_response(doctor, DIAGNOSIS_TLS, http, "");
    return;
  }
  if (verdict == MCP__IS_NO_SERVER || !http->complete) {
    doctor_add_response(doctor, diagnose(doctor, http), http, "");
    return;
  }
  if (is_served)
    add_identity(doctor, http);
  else
    doctor_add_response(doctor, DIAGNOSIS_NONE, http, "not served");
  doctor->modern = doctor->modern || is_served;
  if (doctor->mcp_conn == NULL)
    doctor->mcp_conn = http->conn;
}

bool doctor_discover_http(doctor_t *doctor) {
  attempts_t *attempts = check_alloc(calloc(1, sizeof *attempts));
  attempts->doctor = doctor;
  for (size_t i = 0; i < doctor->address_count; i++)
    if (doctor->conns[i]->state == RAW_CONN_OPEN) {
      raw_http_init(&attempts->list[i], doctor->conns[i]);
      doctor_send(doctor, &attempts->list[i], &discover);
    }
  net_wait(&doctor->net, all_done, attempts, RESPONSE_MS);
  for (size_t i = 0; i < doctor->address_count; i++) {
    raw_http_t *http = &attempts->list[i];
    if (http->conn != NULL)
      judge_discover(doctor, http);
    raw_http_deinit(http);
  }
  free(attempts);
  return doctor->mcp_conn != NULL;
}

/* ---- initialize -------------------------------------------------------------------------------------- */

static const char *session_of(const raw_http_t *http) {
  return mcp__head_value(&http->head, MCP__H_MCP_SESSION);
}

static void add_session(doctor_t *doctor, const raw_http_t *http, yyjson_val *result) {
  yyjson_val *info = yyjson_obj_get(result, "serverInfo");
  bool has_session = *doctor->session != '\0';
  doctor_add(doctor, doctor->modern ? DIAGNOSIS_NONE : DIAGNOSIS_ONLY_LEGACY, http->conn->name,
             doctor_elapsed_ms(doctor), "%.100s %.50s, MCP protocol version %.50s, %s",
             doctor_text_of(info, "name"), doctor_text_of(info, "version"), doctor->version,
             has_session ? "with a session" : "without a session");
}

static bool judge_initialize(doctor_t *doctor, raw_http_t *http) {
  yyjson_val *result = yyjson_obj_get(raw_http_response(http), "result");
  const char *session = session_of(http);
  const char *problem = result != NULL ? mcp__judge_initialize(result, session, &doctor->version) : NULL;
  if (problem != NULL) {
    doctor_add_response(doctor, DIAGNOSIS_NO_VERSION, http, problem);
    return false;
  }
  if (result == NULL) {
    doctor_add_response(doctor, doctor->modern ? DIAGNOSIS_ONLY_MODERN : diagnose(doctor, http), http, "");
    return doctor->modern;
  }
  doctor->legacy = true;
  snprintf(doctor->session, sizeof doctor->session, "%s", session != NULL ? session : "");
  add_session(doctor, http, result);
  return true;
}

bool doctor_initialize_http(doctor_t *doctor) {
  raw_http_t http;
  doctor_ask(doctor, doctor->mcp_conn, &http, &initialize, RESPONSE_MS);
  bool goes_on = judge_initialize(doctor, &http);
  raw_http_deinit(&http);
  if (!doctor->legacy)
    return goes_on;
  doctor_ask(doctor, doctor->mcp_conn, &http, &initialized,
             RESPONSE_MS); /* no response is expected but 202 */
  raw_http_deinit(&http);
  return goes_on;
}
