/* doctor.c: `iccm doctor URL`. Connects to a server, or starts one on stdio, step by step; reports the step
 * that fails, the likely cause and the remedy.
 *
 * Each stage is a function that adds findings. They are printed at once, or with --json all at the end. A
 * stage that makes the later ones pointless ends the run. Each stage has its own time limit; --timeout limits
 * the whole run.
 */
#include <iccm_service.h>
#include <stdlib.h>
#include <string.h>
#include "transport/auth.h"
#include "check_alloc.h"
#include "commands.h"
#include "doctor_connect.h"
#include "doctor_http.h"
#include "doctor_mcp.h"
#include "doctor_stage.h"
#include "doctor_stdio.h"
#include "doctor_tls.h"
#include "doctor_upgrade.h"
#include "exit_codes.h"
#include "findings.h"
#include "raw_conn.h"
#include "error_report.h"

typedef struct stage {
  const char *name;
  doctor_stage_cb run;
} stage_t;

static const stage_t websocket_stages[] = {
    {"name", doctor_resolve},
    {"connect", doctor_connect},
    {"tls", doctor_start_tls},
    {"upgrade", doctor_upgrade},
    {"initialize", doctor_initialize},
    {"tools/list", doctor_list_tools},
    {"pings", doctor_ping},
    {"large message", doctor_send_large_message},
    {"bad JSON", doctor_send_bad_json},
    {NULL, NULL},
};

static const stage_t http_stages[] = {
    {"name", doctor_resolve},
    {"connect", doctor_connect},
    {"tls", doctor_start_tls},
    {"discover", doctor_discover_http},
    {"initialize", doctor_initialize_http},
    {"tools/list", doctor_list_tools_http},
    {"stream", doctor_stream_http},
    {"large message", doctor_send_large_message_http},
    {"bad JSON", doctor_send_bad_json_http},
    {NULL, NULL},
};

static const stage_t stdio_stages[] = {
    {"start", doctor_start_program},
    {"discover", doctor_discover_stdio},
    {"initialize", doctor_initialize_stdio},
    {"tools/list", doctor_list_tools_stdio},
    {"bad JSON", doctor_send_bad_json_stdio},
    {"end of input", doctor_end_input},
    {NULL, NULL},
};

static const stage_t *stages_of(const doctor_t *doctor) {
  if (doctor->options->program != NULL)
    return stdio_stages;
  return doctor->url.http ? http_stages : websocket_stages;
}

static void run_stages(doctor_t *doctor) {
  bool go_on = true;
  for (const stage_t *stage = stages_of(doctor); stage->run != NULL && go_on; stage++) {
    doctor->stage = stage->name;
    doctor->began_ns = uv_hrtime();
    diagnosis_id_t late = doctor_timeout_cause(doctor, DIAGNOSIS_NONE);
    go_on = late == DIAGNOSIS_NONE && stage->run(doctor);
    if (late != DIAGNOSIS_NONE && findings_exit_code(&doctor->findings) == ICCM_OK)
      doctor_add(doctor, late, NULL, 0, "not run");
  }
}

static void print_title(const doctor_t *doctor) {
  char whole[MCP__URL_AUTHORITY_SIZE + MCP__URL_PATH_SIZE + 8], shown[MCP_SHOWN_SIZE];
  char **program = doctor->options->program;
  snprintf(whole, sizeof whole, "%s%s://%s%s", doctor->url.http ? "http" : "ws", doctor->url.tls ? "s" : "",
           doctor->url.authority, doctor->url.path);
  const char *title = mcp_redact_setting(NULL, program != NULL ? program[0] : whole, shown);
  print_line(doctor->out, title, strlen(title), 0);
  fputc('\n', doctor->out->file);
}

static int examine(doctor_t *doctor) {
  uint64_t began_ns = uv_hrtime();
  const findings_t *findings = &doctor->findings;
  const options_t *options = doctor->options;
  const char *given = options->program != NULL ? options->program[0] : options->url;
  char shown[MCP_SHOWN_SIZE];
  if (!options->json)
    print_title(doctor);
  run_stages(doctor);
  if (options->json)
    findings_print_json(doctor->out, findings, mcp_redact_setting(NULL, given, shown),
                        (double)(uv_hrtime() - began_ns) / 1e6);
  else
    findings_print_summary(doctor->out, findings);
  return findings_exit_code(findings);
}

int doctor_run(const options_t *options, const print_t *out) {
  char error[320];
  doctor_t *doctor = check_alloc(calloc(1, sizeof *doctor));
  doctor->options = options;
  doctor->out = out;
  const char *token;
  int code, status;
  if (options->program == NULL && mcp__url_parse(options->url, &doctor->url, error, sizeof error) != 0)
    code = report_usage_error(options, out, "%s", error);
  else if (mcp__token_from_environment(&token) != 0) /* clients refuse to start with it */
    code = report_usage_error(options, out, "%s", mcp_last_error());
  else if ((status = net_init(&doctor->net, options->timeout_ms)) != 0) /* UNTESTED: as above */
    code = report_usage_error(options, out, "cannot create an event loop: %s", uv_strerror(status));
  else {
    code = examine(doctor);
    raw_program_free(doctor->program);
    net_deinit(&doctor->net, code);
    mcp__tls_release(doctor->tls);
  }
  free(doctor);
  return code;
}
