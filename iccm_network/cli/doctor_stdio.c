/* doctor_stdio.c: a program that speaks MCP on standard input and output, from its start to its end.
 *
 * Happy path: the program answers each message with a line, and ends when its input ends. Failure: no
 * response, a wrong response and the end of the program have different diagnoses. A program that ended at one
 * stage is started again for the next. Text on standard output is reported once. No tool is called.
 */
#include "doctor_stdio.h"

#include <string.h>
#include <unistd.h>
#include "client/handshake.h"
#include "mcp/protocol_version.h"
#include "doctor_messages.h"

enum {
  DISCOVER_MS = 10000, /* programs that load much, or install packages first, start slowly */
  RESPONSE_MS = 4000,
  BAD_JSON_MS = 3000,
  END_MS = 5000
};

static const char initialize_params[] =
    "{\"protocolVersion\":\"2025-11-25\","
    "\"capabilities\":{},"
    "\"clientInfo\":{\"name\":\"iccm-doctor\",\"version\":\"" ICCM_VERSION "\"}}";
static const char initialized_notification[] =
    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}";

/* ---- responses ------------------------------------------------------------------------------------- */

static yyjson_val *root_of(const doctor_t *doctor) {
  return yyjson_doc_get_root(doctor->program->response);
}

static int error_code(const doctor_t *doctor) { /* 0: no error */
  return yyjson_get_int(yyjson_obj_get(yyjson_obj_get(root_of(doctor), "error"), "code"));
}

static void add(doctor_t *doctor, diagnosis_id_t diagnosis, const char *request, const char *what) {
  doctor_add(doctor, diagnosis, NULL, doctor_elapsed_ms(doctor), "%s%s%s", request,
             *request != '\0' ? ": " : "", what);
}

/* Describes the response, or why there is none. */
static void add_response(doctor_t *doctor, diagnosis_id_t diagnosis, const char *request) {
  char text[FINDING_WHAT_SIZE - 64] = "no response";
  yyjson_val *root = root_of(doctor);
  if (yyjson_obj_get(root, "error") != NULL)
    snprintf(text, sizeof text, "error %d, \"%.200s\"", error_code(doctor),
             doctor_text_of(yyjson_obj_get(root, "error"), "message"));
  else if (root != NULL)
    snprintf(text, sizeof text, "an unexpected result");
  else if (doctor->program->ended)
    raw_program_describe_end(doctor->program, text);
  add(doctor, diagnosis, request, text);
}

static diagnosis_id_t diagnose_missing(const doctor_t *doctor, diagnosis_id_t silent) {
  return doctor->program->ended ? DIAGNOSIS_PROGRAM_ENDED : doctor_timeout_cause(doctor, silent);
}

/* The end of each stage after the start: reports text on standard output. Returns goes_on. */
static bool end_stage(doctor_t *doctor, bool goes_on) {
  const raw_program_t *program = doctor->program;
  if (program->text_count == 0 || doctor->text_found)
    return goes_on;
  doctor->text_found = true;
  doctor_add(doctor, DIAGNOSIS_STDOUT_TEXT, NULL, doctor_elapsed_ms(doctor),
             "%zu line%s of standard output %s no message; the first is \"%s\"", program->text_count,
             program->text_count == 1 ? "" : "s", program->text_count == 1 ? "is" : "are", program->text);
  return goes_on;
}

/* ---- the start ------------------------------------------------------------------------------------- */

static void start(doctor_t *doctor) {
  raw_program_free(doctor->program);
  doctor->program = raw_program_start(&doctor->net, doctor->options->program);
}

static diagnosis_id_t diagnose_start(int status, const char *name) {
  switch (status) {
  case UV_ENOENT:
    return strchr(name, '/') != NULL && access(name, F_OK) == 0 ? DIAGNOSIS_NO_INTERPRETER
                                                                : DIAGNOSIS_PROGRAM_NOT_FOUND;
  case UV_ENOTDIR:
    return DIAGNOSIS_PROGRAM_NOT_FOUND;
  case UV_EACCES:
    return DIAGNOSIS_NOT_EXECUTABLE;
  default:
    return DIAGNOSIS_NOT_STARTED;
  }
}

bool doctor_start_program(doctor_t *doctor) {
  start(doctor);
  int status = doctor->program->start_status;
  if (status != 0)
    add(doctor, diagnose_start(status, doctor->options->program[0]), "cannot start the program",
        uv_strerror(status));
  else
    doctor_add(doctor, DIAGNOSIS_NONE, NULL, doctor_elapsed_ms(doctor), "the program runs as process %d",
               (int)doctor->program->program->process.pid);
  return status == 0;
}

/* ---- the versions ---------------------------------------------------------------------------------- */

static void add_identity(doctor_t *doctor, diagnosis_id_t diagnosis, yyjson_val *info, const char *version) {
  doctor_add(doctor, diagnosis, NULL, doctor_elapsed_ms(doctor), "%.100s %.50s, MCP protocol version %s",
             doctor_text_of(info, "name"), doctor_text_of(info, "version"), version);
}

bool doctor_discover_stdio(doctor_t *doctor) {
  bool is_answered =
      raw_program_request(doctor->program, MCP__ERA_MODERN, "server/discover", "{}", DISCOVER_MS);
  mcp__era_verdict_t verdict = is_answered ? mcp__judge_discover(200, root_of(doctor)) : MCP__IS_LEGACY;
  yyjson_val *meta = yyjson_obj_get(yyjson_obj_get(root_of(doctor), "result"), "_meta");
  doctor->modern = verdict == MCP__IS_MODERN;
  if (doctor->modern)
    add_identity(doctor, DIAGNOSIS_NONE, yyjson_obj_get(meta, MCP__META_SERVER_INFO),
                 mcp__protocol_version_name(MCP__2026_07_28));
  else if (verdict == MCP__IS_NO_SERVER)
    add_response(doctor, DIAGNOSIS_NO_VERSION, "not served");
  else /* initialize decides */
    add_response(doctor, doctor_timeout_cause(doctor, DIAGNOSIS_NONE), "not served");
  return end_stage(doctor, verdict != MCP__IS_NO_SERVER);
}

/* Sends initialize. Returns NULL, or why its result cannot be used; without a result, program->response
 * shows the reason. */
static const char *initialize(doctor_t *doctor) {
  raw_program_request(doctor->program, MCP__ERA_LEGACY, "initialize", initialize_params, RESPONSE_MS);
  yyjson_val *result = yyjson_obj_get(root_of(doctor), "result");
  const char *problem = result != NULL ? mcp__judge_initialize(result, NULL, &doctor->version) : NULL;
  doctor->legacy = result != NULL && problem == NULL;
  if (doctor->legacy)
    raw_program_send_line(doctor->program, initialized_notification);
  return problem;
}

bool doctor_initialize_stdio(doctor_t *doctor) {
  bool is_second = doctor->program->ended;
  if (is_second)
    start(doctor);
  const char *problem = doctor->program->start_status == 0 ? initialize(doctor) : NULL;
  yyjson_val *info = yyjson_obj_get(yyjson_obj_get(root_of(doctor), "result"), "serverInfo");
  if (doctor->legacy)
    add_identity(doctor,
                 doctor->modern ? DIAGNOSIS_NONE
                 : is_second    ? DIAGNOSIS_ENDS_AT_DISCOVER
                                : DIAGNOSIS_ONLY_LEGACY,
                 info, doctor->version);
  else if (problem != NULL)
    add(doctor, DIAGNOSIS_NO_VERSION, "initialize", problem);
  else if (doctor->program->response == NULL)
    add_response(doctor,
                 diagnose_missing(doctor, doctor->modern ? DIAGNOSIS_SILENT : DIAGNOSIS_PROGRAM_SILENT),
                 "initialize");
  else
    add_response(doctor, doctor->modern ? DIAGNOSIS_ONLY_MODERN : DIAGNOSIS_NO_VERSION, "initialize");
  return end_stage(doctor, doctor->modern || doctor->legacy);
}

/* Starts the program again if it has ended. False: that failed, and a finding was added. */
static bool ensure_running(doctor_t *doctor) {
  if (!doctor->program->ended)
    return true;
  start(doctor);
  if (doctor->program->start_status == 0 && doctor->legacy)
    initialize(doctor);
  if (doctor->program->start_status == 0 && (doctor->modern || doctor->legacy)) {
    doctor->began_ns = uv_hrtime();
    return true;
  }
  add_response(doctor, diagnose_missing(doctor, DIAGNOSIS_SILENT), "started again");
  return false;
}

/* ---- tools/list ------------------------------------------------------------------------------------ */

static void list_tools(doctor_t *doctor, mcp__era_t era) {
  char names[FINDING_WHAT_SIZE - 128] = "";
  if (!ensure_running(doctor))
    return;
  doctor->began_ns = uv_hrtime();
  bool is_answered = raw_program_request(doctor->program, era, "tools/list", "{}", RESPONSE_MS);
  yyjson_val *result = yyjson_obj_get(root_of(doctor), "result"), *tools = yyjson_obj_get(result, "tools");
  if (!is_answered) {
    add_response(doctor, diagnose_missing(doctor, DIAGNOSIS_SILENT), "tools/list");
  } else if (!yyjson_is_arr(tools)) {
    add_response(doctor,
                 error_code(doctor) == MCP_METHOD_NOT_FOUND ? DIAGNOSIS_TOOLS_MISSING : DIAGNOSIS_TOOLS_ERROR,
                 "tools/list");
  } else {
    doctor_describe_tools(tools, names, sizeof names);
    doctor_add(doctor, DIAGNOSIS_NONE, NULL, doctor_elapsed_ms(doctor), "%s: %zu%s tool%s%s",
               era == MCP__ERA_MODERN ? mcp__protocol_version_name(MCP__2026_07_28) : doctor->version,
               yyjson_arr_size(tools), yyjson_obj_get(result, "nextCursor") != NULL ? " and more" : "",
               yyjson_arr_size(tools) == 1 ? "" : "s", names);
  }
}

bool doctor_list_tools_stdio(doctor_t *doctor) {
  if (doctor->modern)
    list_tools(doctor, MCP__ERA_MODERN);
  if (doctor->legacy)
    list_tools(doctor, MCP__ERA_LEGACY);
  return end_stage(doctor, true);
}

/* ---- bad JSON, the end of input -------------------------------------------------------------------- */

bool doctor_send_bad_json_stdio(doctor_t *doctor) {
  if (!ensure_running(doctor))
    return end_stage(doctor, false);
  bool is_answered =
      raw_program_send_bad_line(doctor->program, "{\"jsonrpc\":\"2.0\",\"method\":", BAD_JSON_MS);
  if (error_code(doctor) == MCP_PARSE_ERROR)
    doctor_add(doctor, DIAGNOSIS_NONE, NULL, doctor_elapsed_ms(doctor), "bad JSON is answered with error %d",
               MCP_PARSE_ERROR);
  else
    add_response(doctor,
                 is_answered              ? DIAGNOSIS_BAD_JSON_ANSWER
                 : doctor->program->ended ? DIAGNOSIS_BAD_JSON_ENDED
                                          : doctor_timeout_cause(doctor, DIAGNOSIS_BAD_JSON_SILENT),
                 "bad JSON");
  return end_stage(doctor, true);
}

bool doctor_end_input(doctor_t *doctor) {
  if (!ensure_running(doctor))
    return end_stage(doctor, false);
  if (raw_program_end_input(doctor->program, END_MS))
    doctor_add(doctor, DIAGNOSIS_NONE, NULL, doctor_elapsed_ms(doctor),
               "the program ends when its standard input ends");
  else
    doctor_add(doctor, doctor_timeout_cause(doctor, DIAGNOSIS_PROGRAM_STAYS), NULL, doctor_elapsed_ms(doctor),
               "the program still runs %.1f s after the end of its standard input",
               doctor_elapsed_ms(doctor) / 1000);
  return end_stage(doctor, true);
}
