/* doctor_talk.c: MCP over one connection, from `initialize` to what a server does about bad JSON.
 *
 * Happy path: each question is answered in time. Failure: silence, a close and a wrong answer are told apart.
 * The stages behind `initialize` do not depend on each other: where one lost the connection, the next makes a
 * new one. No tool of the server is called.
 */
#include <stdlib.h>
#include <string.h>
#include "checked.h"
#include "doctor_stage.h"
#include "doctor_talk.h"
#include "raw_conn.h"

enum {
  AGAIN_MS = 2000, /* for each step of connecting again */
  ANSWER_MS = 4000,
  PONG_MS = 2000,
  LARGE_MS = 6000,
  BAD_JSON_MS = 3000,
  PINGS = 3,
  LARGE_BYTES = 3 << 19 /* 1.5 MiB: above the 1 MiB that is the default of several servers */
};

static const char hello[] = "{\"protocolVersion\":\"2024-11-05\","
                            "\"capabilities\":{\"experimental\":{\"iccm/doctor\":{}}},"
                            "\"clientInfo\":{\"name\":\"iccm-doctor\",\"version\":\"" ICCM_VERSION "\"}}";
static const char initialized[] = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}";

/* ---- what was not answered ------------------------------------------------------------------------- */

static void describe_end(const raw_conn_t *conn, char *text, size_t size) {
  if (conn->close_code != 0 && conn->close_is_theirs)
    snprintf(text, size, "the server closed the connection with %d%s%s", conn->close_code,
             *conn->close_reason != '\0' ? ": " : "", conn->close_reason);
  else if (conn->close_code != 0)
    snprintf(text, size, "the server broke the rules of WebSocket (%d%s%s)", conn->close_code,
             *conn->close_reason != '\0' ? ": " : "", conn->close_reason);
  else if (conn->status == UV_EOF)
    snprintf(text, size, "the server closed the connection without a word");
  else
    snprintf(text, size, "the connection was lost: %s", uv_strerror(conn->status));
}

static void add_unanswered(doctor_t *doctor, const char *question, diagnosis_id_t closed,
                           diagnosis_id_t silent) {
  const raw_conn_t *conn = doctor->talk;
  char text[FINDING_WHAT_SIZE - 64];
  bool ended = conn->state == RAW_CONN_ENDED;
  if (ended)
    describe_end(conn, text, sizeof text);
  doctor_add(doctor, ended ? closed : doctor_late(doctor, silent), conn->name, doctor_ms(doctor), "%s: %s",
             question, ended ? text : "no answer");
}

/* ---- answers --------------------------------------------------------------------------------------- */

/* NULL: none; null counts as none. */
static yyjson_val *member(const raw_conn_t *conn, const char *name) {
  yyjson_val *value = yyjson_obj_get(yyjson_doc_get_root(conn->answer), name);
  return yyjson_is_null(value) ? NULL : value;
}

static int error_code(const raw_conn_t *conn) { /* 0: no error */
  yyjson_val *error = member(conn, "error");
  return error != NULL ? yyjson_get_int(yyjson_obj_get(error, "code")) : 0;
}

static const char *text_of(yyjson_val *object, const char *name) {
  const char *text = yyjson_get_str(yyjson_obj_get(object, name));
  return text != NULL ? text : "";
}

static void add_error(doctor_t *doctor, diagnosis_id_t diagnosis, const char *question) {
  doctor_add(doctor, diagnosis, doctor->talk->name, doctor_ms(doctor), "%s: error %d, \"%.200s\"", question,
             error_code(doctor->talk), text_of(member(doctor->talk, "error"), "message"));
}

/* ---- connecting again ------------------------------------------------------------------------------ */

/* A connection over which initialize was answered, the old one or a new one; false, and said so, where there
 * is none. */
static bool ready(doctor_t *doctor) {
  if (doctor->talk->state == RAW_CONN_WEBSOCKET)
    return true;
  raw_conn_t *conn = raw_conn_connect(&doctor->net, (const struct sockaddr *)&doctor->talk->address, NULL);
  if (raw_conn_wait_connected(conn, AGAIN_MS)) {
    raw_conn_upgrade(conn, &doctor->url);
    net_wait(&doctor->net, raw_conn_is_judged, conn, AGAIN_MS);
    if (conn->state == RAW_CONN_WEBSOCKET && raw_conn_ask(conn, "initialize", hello, AGAIN_MS)) {
      raw_conn_send_text(conn, initialized, sizeof initialized - 1);
      doctor->talk = conn;
      doctor->began_ns = uv_hrtime();
      return true;
    }
  }
  doctor_add(doctor, doctor_late(doctor, DIAGNOSIS_CLOSED), conn->name, doctor_ms(doctor),
             "%s could not be connected to again", conn->name);
  return false;
}

/* ---- the stages ------------------------------------------------------------------------------------ */

bool doctor_initialize(doctor_t *doctor) {
  raw_conn_t *conn = doctor->talk;
  if (!raw_conn_ask(conn, "initialize", hello, ANSWER_MS)) {
    add_unanswered(doctor, "initialize", DIAGNOSIS_INITIALIZE_CLOSED,
                   conn->garbage ? DIAGNOSIS_NOT_JSON : DIAGNOSIS_INITIALIZE_SILENT);
    return false;
  }
  yyjson_val *result = member(conn, "result"), *info = yyjson_obj_get(result, "serverInfo");
  if (result == NULL)
    add_error(doctor, DIAGNOSIS_INITIALIZE_ERROR, "initialize");
  else
    doctor_add(doctor, DIAGNOSIS_NONE, conn->name, doctor_ms(doctor), "%.100s %.50s, revision %.50s of MCP",
               text_of(info, "name"), text_of(info, "version"), text_of(result, "protocolVersion"));
  raw_conn_send_text(conn, initialized, sizeof initialized - 1);
  return true;
}

static void describe_tools(yyjson_val *tools, char *text, size_t size) {
  size_t i, max, at = 0;
  yyjson_val *tool;
  yyjson_arr_foreach(tools, i, max, tool) {
    if (i == 4 || at >= size)
      break;
    at += (size_t)snprintf(text + at, size - at, "%s%.50s", i > 0 ? ", " : ": ", text_of(tool, "name"));
  }
  if (at < size)
    snprintf(text + at, size - at, "%s", yyjson_arr_size(tools) > 4 ? ", …" : "");
}

bool doctor_list_tools(doctor_t *doctor) {
  if (!ready(doctor))
    return false;
  if (!raw_conn_ask(doctor->talk, "tools/list", "{}", ANSWER_MS)) {
    add_unanswered(doctor, "tools/list", DIAGNOSIS_CLOSED, DIAGNOSIS_SILENT);
    return true;
  }
  yyjson_val *result = member(doctor->talk, "result"), *tools = yyjson_obj_get(result, "tools");
  char names[FINDING_WHAT_SIZE - 64] = "";
  if (result == NULL) {
    add_error(doctor,
              error_code(doctor->talk) == MCP_METHOD_NOT_FOUND ? DIAGNOSIS_TOOLS_MISSING
                                                               : DIAGNOSIS_TOOLS_ERROR,
              "tools/list");
  } else if (!yyjson_is_arr(tools)) {
    doctor_add(doctor, DIAGNOSIS_TOOLS_ERROR, doctor->talk->name, doctor_ms(doctor),
               "tools/list: the answer holds no list of tools");
  } else {
    describe_tools(tools, names, sizeof names);
    doctor_add(doctor, DIAGNOSIS_NONE, doctor->talk->name, doctor_ms(doctor), "%zu%s tool%s%s",
               yyjson_arr_size(tools), yyjson_obj_get(result, "nextCursor") != NULL ? " and more" : "",
               yyjson_arr_size(tools) == 1 ? "" : "s", names);
  }
  return true;
}

static void ping_mcp(doctor_t *doctor) {
  doctor->began_ns = uv_hrtime();
  if (!raw_conn_ask(doctor->talk, "ping", "", ANSWER_MS))
    add_unanswered(doctor, "ping", DIAGNOSIS_CLOSED, DIAGNOSIS_SILENT);
  else if (member(doctor->talk, "result") == NULL)
    add_error(doctor, DIAGNOSIS_NO_MCP_PING, "ping");
  else
    doctor_add(doctor, DIAGNOSIS_NONE, doctor->talk->name, doctor_ms(doctor), "MCP's own ping is answered");
}

bool doctor_ping(doctor_t *doctor) {
  int answered = 0;
  if (!ready(doctor))
    return false;
  while (answered < PINGS && raw_conn_ping(doctor->talk, PONG_MS))
    answered++;
  if (answered < PINGS)
    add_unanswered(doctor, "WebSocket's ping", DIAGNOSIS_CLOSED, DIAGNOSIS_NO_PONG);
  else
    doctor_add(doctor, DIAGNOSIS_NONE, doctor->talk->name, doctor_ms(doctor) / PINGS,
               "%d WebSocket pings are answered", PINGS);
  if (doctor->talk->state == RAW_CONN_WEBSOCKET)
    ping_mcp(doctor);
  return true;
}

/* A call of a tool that no server has, so that nothing is done, with arguments of LARGE_BYTES; the caller
 * frees it. */
static char *make_large(void) {
  static const char head[] = "{\"name\":\"iccm_doctor_no_such_tool\",\"arguments\":{\"text\":\"",
                    tail[] = "\"}}";
  char *text = checked(malloc(sizeof head + LARGE_BYTES + sizeof tail));
  memcpy(text, head, sizeof head - 1);
  memset(text + sizeof head - 1, 'x', LARGE_BYTES);
  memcpy(text + sizeof head - 1 + LARGE_BYTES, tail, sizeof tail);
  return text;
}

bool doctor_send_large(doctor_t *doctor) {
  if (!ready(doctor))
    return false;
  char *call = make_large();
  bool answered = raw_conn_ask(doctor->talk, "tools/call", call, LARGE_MS);
  free(call);
  if (answered)
    doctor_add(doctor, DIAGNOSIS_NONE, doctor->talk->name, doctor_ms(doctor),
               "1.5 MiB are taken and answered");
  else
    add_unanswered(doctor, "1.5 MiB at once",
                   doctor->talk->close_code == MCP__CLOSE_TOO_BIG ? DIAGNOSIS_LARGE_LIMIT
                                                                  : DIAGNOSIS_LARGE_CLOSED,
                   DIAGNOSIS_LARGE_SILENT);
  return true;
}

bool doctor_send_bad_json(doctor_t *doctor) {
  static const char bad[] = "{\"jsonrpc\":\"2.0\",\"method\":";
  if (!ready(doctor))
    return false;
  raw_conn_t *conn = doctor->talk;
  yyjson_doc_free(conn->answer);
  conn->answer = NULL;
  conn->without_id = true;
  raw_conn_send_text(conn, bad, sizeof bad - 1);
  if (!raw_conn_wait_answer(conn, BAD_JSON_MS))
    add_unanswered(doctor, "bad JSON", DIAGNOSIS_BAD_JSON_CLOSED, DIAGNOSIS_BAD_JSON_SILENT);
  else if (error_code(conn) != MCP_PARSE_ERROR)
    add_error(doctor, DIAGNOSIS_BAD_JSON_ANSWER, "bad JSON");
  else
    doctor_add(doctor, DIAGNOSIS_NONE, conn->name, doctor_ms(doctor), "bad JSON is answered by error %d",
               MCP_PARSE_ERROR);
  return true;
}
