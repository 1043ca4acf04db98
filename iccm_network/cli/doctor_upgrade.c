/* doctor_upgrade.c: sends the HTTP upgrade request to each address that accepted the connection.
 *
 * Happy path: status 101; later stages use the first such connection. Failure: the response is shown and
 * mapped to a diagnosis; without one, a second connection probes for TLS.
 */
#include <string.h>
#include "doctor_response.h"
#include "doctor_stage.h"
#include "doctor_upgrade.h"
#include "raw_conn.h"

enum { UPGRADE_MS = 4000, BODY_MS = 300 };

static bool all_upgrades_done(void *arg) {
  const doctor_t *doctor = arg;
  for (size_t i = 0; i < doctor->address_count; i++)
    if (!raw_conn_upgrade_done(doctor->conns[i]))
      return false;
  return true;
}

static bool has_ended(void *arg) {
  const raw_conn_t *conn = arg;
  return conn->state == RAW_CONN_ENDED;
}

/* ---- responses -------------------------------------------------------------------------------------- */

static diagnosis_id_t diagnose_status(int status) {
  switch (status) {
  case 400:
  case 405:
  case 426:
    return DIAGNOSIS_BAD_REQUEST;
  case 401:
    return DIAGNOSIS_UNAUTHORIZED;
  case 403:
    return DIAGNOSIS_FORBIDDEN;
  case 404:
    return DIAGNOSIS_NO_PATH;
  case 502:
  case 504:
    return DIAGNOSIS_GATEWAY;
  case 503:
    return DIAGNOSIS_BUSY;
  default:
    return status >= 200 && status < 300   ? DIAGNOSIS_PAGE
           : status >= 300 && status < 400 ? DIAGNOSIS_REDIRECT
                                           : DIAGNOSIS_OTHER_STATUS;
  }
}

static diagnosis_id_t diagnose_upgrade(doctor_t *doctor, const raw_conn_t *conn) {
  bool http = conn->head_state == MCP__HEAD_DONE;
  if (conn->tls == NULL && (!http || conn->head.status == 400) && doctor_speaks_tls(doctor, conn))
    return DIAGNOSIS_TLS;
  if (http && conn->head.status == 101)
    return strstr(conn->upgrade_error, "Sec-WebSocket-Accept") != NULL ? DIAGNOSIS_WRONG_ACCEPT
                                                                       : DIAGNOSIS_WRONG_SWITCH;
  if (http)
    return diagnose_status(conn->head.status);
  if (conn->initial_len > 0)
    return conn->head_state == MCP__HEAD_BAD ? doctor_other_protocol(conn) : DIAGNOSIS_UPGRADE_UNFINISHED;
  return conn->state == RAW_CONN_ENDED ? DIAGNOSIS_UPGRADE_CLOSED
                                       : doctor_timeout_cause(doctor, DIAGNOSIS_UPGRADE_SILENT);
}

static void add_failure(doctor_t *doctor, const raw_conn_t *conn) {
  char response[DOCTOR_RESPONSE_SIZE];
  const char *body = strstr(conn->initial_data, "\r\n\r\n");
  double ms = conn->state == RAW_CONN_OPEN && conn->head_state == MCP__HEAD_MORE ? doctor_elapsed_ms(doctor)
                                                                                 : raw_conn_step_ms(conn);
  diagnosis_id_t diagnosis = diagnose_upgrade(doctor, conn);
  doctor_describe_response(conn, body != NULL ? body + 4 : "", response);
  doctor_add(doctor, diagnosis, conn->name, ms, "%s %s", conn->name, response);
}

bool doctor_upgrade(doctor_t *doctor) {
  for (size_t i = 0; i < doctor->address_count; i++)
    if (doctor->conns[i]->state == RAW_CONN_OPEN)
      raw_conn_upgrade(doctor->conns[i], &doctor->url);
  net_wait(&doctor->net, all_upgrades_done, doctor, UPGRADE_MS);
  for (size_t i = 0; i < doctor->address_count; i++) {
    raw_conn_t *conn = doctor->conns[i];
    if (*conn->key == '\0')
      continue; /* no request was sent: not connected */
    if (conn->head_state == MCP__HEAD_DONE && conn->upgrade_status == 0) {
      doctor_add(doctor, DIAGNOSIS_NONE, conn->name, raw_conn_step_ms(conn), "%s switches to WebSocket",
                 conn->name);
      doctor->mcp_conn = doctor->mcp_conn != NULL ? doctor->mcp_conn : conn;
      continue;
    }
    if (conn->head_state == MCP__HEAD_DONE)
      net_wait(&doctor->net, has_ended, conn, BODY_MS);
    add_failure(doctor, conn);
  }
  return doctor->mcp_conn != NULL;
}
