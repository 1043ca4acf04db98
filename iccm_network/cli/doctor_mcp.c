/* doctor_mcp.c: MCP over one connection, from `initialize` to invalid JSON.
 *
 * Happy path: each request gets its response in time. Failure: no response, a closed connection and a wrong
 * response have different diagnoses. The stages after `initialize` are independent: if one loses the
 * connection, the next reconnects. No tool of the server is called.
 */
#include <stdlib.h>
#include <string.h>
#include "doctor_messages.h"
#include "doctor_stage.h"
#include "doctor_tls.h"
#include "doctor_mcp.h"
#include "raw_conn.h"

enum {
  RECONNECT_MS = 2000, /* for the upgrade, and for initialize */
  RESPONSE_MS = 4000,
  PONG_MS = 2000,
  LARGE_MS = 6000,
  BAD_JSON_MS = 3000,
  PINGS = 3
};

static const char initialize_params[] =
    "{\"protocolVersion\":\"2024-11-05\","
    "\"capabilities\":{\"experimental\":{\"iccm/doctor\":{}}},"
    "\"clientInfo\":{\"name\":\"iccm-doctor\",\"version\":\"" ICCM_VERSION "\"}}";
static const char initialized_notification[] =
    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}";

/* ---- missing responses ----------------------------------------------------------------------------- */

static void describe_close(const raw_conn_t *conn, char *text, size_t size) {
  if (conn->close_code != 0 && conn->closed_by_peer)
    snprintf(text, size, "the server closed the connection with %d%s%s", conn->close_code,
             *conn->close_reason != '\0' ? ": " : "", conn->close_reason);
  else if (conn->close_code != 0)
    snprintf(text, size, "the server violated the WebSocket protocol (%d%s%s)", conn->close_code,
             *conn->close_reason != '\0' ? ": " : "", conn->close_reason);
  else if (conn->status == UV_EOF)
    snprintf(text, size, "the server closed the connection without a close frame");
  else
    snprintf(text, size, "the connection was lost: %s", uv_strerror(conn->status));
}

static void add_no_response(doctor_t *doctor, const char *request, diagnosis_id_t closed,
                            diagnosis_id_t silent) {
  const raw_conn_t *conn = doctor->mcp_conn;
  char text[FINDING_WHAT_SIZE - 64];
  bool ended = conn->state == RAW_CONN_ENDED;
  if (ended)
    describe_close(conn, text, sizeof text);
  doctor_add(doctor, ended ? closed : doctor_timeout_cause(doctor, silent), conn->name,
             doctor_elapsed_ms(doctor), "%s: %s", request, ended ? text : "no response");
}

/* ---- responses ------------------------------------------------------------------------------------- */

/* NULL: missing or null. */
static yyjson_val *member(const raw_conn_t *conn, const char *name) {
  yyjson_val *value = yyjson_obj_get(yyjson_doc_get_root(conn->response), name);
  return yyjson_is_null(value) ? NULL : value;
}

static int error_code(const raw_conn_t *conn) { /* 0: no error */
  yyjson_val *error = member(conn, "error");
  return error != NULL ? yyjson_get_int(yyjson_obj_get(error, "code")) : 0;
}

static void add_error(doctor_t *doctor, diagnosis_id_t diagnosis, const char *request) {
  doctor_add(doctor, diagnosis, doctor->mcp_conn->name, doctor_elapsed_ms(doctor), "%s: error %d, \"%.200s\"",
             request, error_code(doctor->mcp_conn),
             doctor_text_of(member(doctor->mcp_conn, "error"), "message"));
}

/* ---- reconnecting ---------------------------------------------------------------------------------- */

/* Reconnects and initializes if the connection was lost. False: that failed, and a finding was added. */
static bool ensure_connected(doctor_t *doctor) {
  if (doctor->mcp_conn->state == RAW_CONN_WEBSOCKET)
    return true;
  raw_conn_t *conn = doctor_reconnect(doctor, doctor->mcp_conn);
  if (conn->state == RAW_CONN_OPEN) {
    raw_conn_upgrade(conn, &doctor->url);
    net_wait(&doctor->net, raw_conn_upgrade_done, conn, RECONNECT_MS);
    if (conn->state == RAW_CONN_WEBSOCKET &&
        raw_conn_request(conn, "initialize", initialize_params, RECONNECT_MS)) {
      raw_conn_send_text(conn, initialized_notification, sizeof initialized_notification - 1);
      doctor->mcp_conn = conn;
      doctor->began_ns = uv_hrtime();
      return true;
    }
  }
  doctor_add(doctor, doctor_timeout_cause(doctor, DIAGNOSIS_CLOSED), conn->name, doctor_elapsed_ms(doctor),
             "cannot reconnect to %s", conn->name);
  return false;
}

/* ---- the stages ------------------------------------------------------------------------------------ */

bool doctor_initialize(doctor_t *doctor) {
  raw_conn_t *conn = doctor->mcp_conn;
  if (!raw_conn_request(conn, "initialize", initialize_params, RESPONSE_MS)) {
    add_no_response(doctor, "initialize", DIAGNOSIS_INITIALIZE_CLOSED,
                    conn->invalid_json ? DIAGNOSIS_NOT_JSON : DIAGNOSIS_INITIALIZE_SILENT);
    return false;
  }
  yyjson_val *result = member(conn, "result"), *info = yyjson_obj_get(result, "serverInfo");
  if (result == NULL)
    add_error(doctor, DIAGNOSIS_INITIALIZE_ERROR, "initialize");
  else
    doctor_add(doctor, DIAGNOSIS_NONE, conn->name, doctor_elapsed_ms(doctor),
               "%.100s %.50s, MCP protocol version %.50s", doctor_text_of(info, "name"),
               doctor_text_of(info, "version"), doctor_text_of(result, "protocolVersion"));
  raw_conn_send_text(conn, initialized_notification, sizeof initialized_notification - 1);
  return true;
}

bool doctor_list_tools(doctor_t *doctor) {
  if (!ensure_connected(doctor))
    return false;
  if (!raw_conn_request(doctor->mcp_conn, "tools/list", "{}", RESPONSE_MS)) {
    add_no_response(doctor, "tools/list", DIAGNOSIS_CLOSED, DIAGNOSIS_SILENT);
    return true;
  }
  yyjson_val *result = member(doctor->mcp_conn, "result"), *tools = yyjson_obj_get(result, "tools");
  char names[FINDING_WHAT_SIZE - 64] = "";
  if (result == NULL) {
    add_error(doctor,
              error_code(doctor->mcp_conn) == MCP_METHOD_NOT_FOUND ? DIAGNOSIS_TOOLS_MISSING
                                                                   : DIAGNOSIS_TOOLS_ERROR,
              "tools/list");
  } else if (!yyjson_is_arr(tools)) {
    doctor_add(doctor, DIAGNOSIS_TOOLS_ERROR, doctor->mcp_conn->name, doctor_elapsed_ms(doctor),
               "tools/list: the result has no array of tools");
  } else {
    doctor_describe_tools(tools, names, sizeof names);
    doctor_add(doctor, DIAGNOSIS_NONE, doctor->mcp_conn->name, doctor_elapsed_ms(doctor), "%zu%s tool%s%s",
               yyjson_arr_size(tools), yyjson_obj_get(result, "nextCursor") != NULL ? " and more" : "",
               yyjson_arr_size(tools) == 1 ? "" : "s", names);
  }
  return true;
}

static void ping_mcp(doctor_t *doctor) {
  doctor->began_ns = uv_hrtime();
  if (!raw_conn_request(doctor->mcp_conn, "ping", "", RESPONSE_MS))
    add_no_response(doctor, "ping", DIAGNOSIS_CLOSED, DIAGNOSIS_SILENT);
  else if (member(doctor->mcp_conn, "result") == NULL)
    add_error(doctor, DIAGNOSIS_NO_MCP_PING, "ping");
  else
    doctor_add(doctor, DIAGNOSIS_NONE, doctor->mcp_conn->name, doctor_elapsed_ms(doctor),
               "the MCP ping is answered");
}

bool doctor_ping(doctor_t *doctor) {
  int answered = 0;
  if (!ensure_connected(doctor))
    return false;
  while (answered < PINGS && raw_conn_ping(doctor->mcp_conn, PONG_MS))
    answered++;
  if (answered < PINGS)
    add_no_response(doctor, "WebSocket ping", DIAGNOSIS_CLOSED, DIAGNOSIS_NO_PONG);
  else
    doctor_add(doctor, DIAGNOSIS_NONE, doctor->mcp_conn->name, doctor_elapsed_ms(doctor) / PINGS,
               "%d WebSocket pings are answered", PINGS);
  if (doctor->mcp_conn->state == RAW_CONN_WEBSOCKET)
    ping_mcp(doctor);
  return true;
}

bool doctor_send_large_message(doctor_t *doctor) {
  if (!ensure_connected(doctor))
    return false;
  char *call = doctor_large_call();
  bool answered = raw_conn_request(doctor->mcp_conn, "tools/call", call, LARGE_MS);
  free(call);
  if (answered)
    doctor_add(doctor, DIAGNOSIS_NONE, doctor->mcp_conn->name, doctor_elapsed_ms(doctor),
               "a message of 1.5 MiB is answered");
  else
    add_no_response(doctor, "a message of 1.5 MiB",
                    doctor->mcp_conn->close_code == MCP__CLOSE_TOO_BIG ? DIAGNOSIS_LARGE_LIMIT
                                                                       : DIAGNOSIS_LARGE_CLOSED,
                    DIAGNOSIS_LARGE_SILENT);
  return true;
}

bool doctor_send_bad_json(doctor_t *doctor) {
  static const char bad[] = "{\"jsonrpc\":\"2.0\",\"method\":";
  if (!ensure_connected(doctor))
    return false;
  raw_conn_t *conn = doctor->mcp_conn;
  yyjson_doc_free(conn->response);
  conn->response = NULL;
  conn->response_without_id = true;
  raw_conn_send_text(conn, bad, sizeof bad - 1);
  if (!raw_conn_wait_response(conn, BAD_JSON_MS))
    add_no_response(doctor, "bad JSON", DIAGNOSIS_BAD_JSON_CLOSED, DIAGNOSIS_BAD_JSON_SILENT);
  else if (error_code(conn) != MCP_PARSE_ERROR)
    add_error(doctor, DIAGNOSIS_BAD_JSON_ANSWER, "bad JSON");
  else
    doctor_add(doctor, DIAGNOSIS_NONE, conn->name, doctor_elapsed_ms(doctor),
               "bad JSON is answered with error %d", MCP_PARSE_ERROR);
  return true;
}
