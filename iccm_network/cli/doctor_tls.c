/* doctor_tls.c: for a wss:// or https:// URL, the TLS handshake with each address that accepted the
 * connection.
 *
 * Happy path: version and certificate are shown. Failure: OpenSSL's reason is mapped to a diagnosis; later
 * stages skip an address that failed.
 */
#include "doctor_stage.h"
#include "doctor_tls.h"
#include "raw_conn.h"

#include <iccm_service.h>

enum {
  HANDSHAKE_MS = 5000,
  RECONNECT_MS = 2000 /* for each step of a reconnect */
};

static bool all_handshakes_done(void *arg) {
  const doctor_t *doctor = arg;
  for (size_t i = 0; i < doctor->address_count; i++)
    if (!raw_conn_tls_done(doctor->conns[i]))
      return false;
  return true;
}

static diagnosis_id_t diagnose_tls(doctor_t *doctor, const raw_conn_t *conn) {
  static const diagnosis_id_t diagnoses[] = {
      [MCP__TLS_OK] = DIAGNOSIS_TLS_FAILED,
      [MCP__TLS_OTHER_PROTOCOL] = DIAGNOSIS_TLS_NOT_SPOKEN,
      [MCP__TLS_EXPIRED] = DIAGNOSIS_TLS_EXPIRED,
      [MCP__TLS_NOT_YET] = DIAGNOSIS_TLS_NOT_YET,
      [MCP__TLS_UNTRUSTED] = DIAGNOSIS_TLS_UNTRUSTED,
      [MCP__TLS_WRONG_NAME] = DIAGNOSIS_TLS_WRONG_NAME,
      [MCP__TLS_BAD_CERTIFICATE] = DIAGNOSIS_TLS_UNFIT,
      [MCP__TLS_REFUSED] = DIAGNOSIS_TLS_REFUSED,
      [MCP__TLS_FAILED] = DIAGNOSIS_TLS_FAILED,
  };
  if (conn->status == UV_ETIMEDOUT)
    return doctor_timeout_cause(doctor, DIAGNOSIS_TLS_SILENT);
  return conn->status == MCP_ETLS ? diagnoses[conn->tls->fault] : DIAGNOSIS_TLS_CLOSED;
}

static void add_result(doctor_t *doctor, const raw_conn_t *conn) {
  char text[400];
  if (conn->state == RAW_CONN_OPEN) {
    mcp__tls_describe(conn->tls, text, sizeof text);
    doctor_add(doctor, DIAGNOSIS_NONE, conn->name, raw_conn_step_ms(conn), "%s speaks %s", conn->name, text);
    return;
  }
  diagnosis_id_t diagnosis = diagnose_tls(doctor, conn);
  const char *what = conn->status == MCP_ETLS       ? conn->tls->problem
                     : conn->status == UV_ETIMEDOUT ? "no response to the TLS handshake"
                     : conn->status == UV_EOF       ? "connection closed"
                                                    : uv_strerror(conn->status);
  doctor_add(doctor, diagnosis, conn->name, raw_conn_step_ms(conn), "%s: %s", conn->name, what);
}

bool doctor_start_tls(doctor_t *doctor) {
  char error[512];
  size_t secured = 0;
  if (!doctor->url.tls)
    return true;
  if (mcp__tls_client(mcp_env_text("ICCM_TLS_CA", NULL), &doctor->tls, error, sizeof error) != 0) {
    doctor_add(doctor, DIAGNOSIS_TLS_CA, NULL, 0, "%s", error);
    return false;
  }
  for (size_t i = 0; i < doctor->address_count; i++)
    if (doctor->conns[i]->state == RAW_CONN_OPEN)
      raw_conn_start_tls(doctor->conns[i], doctor->tls, doctor->url.host, !doctor->options->insecure);
  net_wait(&doctor->net, all_handshakes_done, doctor, HANDSHAKE_MS);
  for (size_t i = 0; i < doctor->address_count; i++) {
    raw_conn_t *conn = doctor->conns[i];
    if (conn->tls == NULL)
      continue; /* not connected */
    if (!raw_conn_tls_done(conn))
      raw_conn_end(conn, UV_ETIMEDOUT);
    secured += conn->state == RAW_CONN_OPEN;
    add_result(doctor, conn);
  }
  return secured > 0;
}

raw_conn_t *doctor_reconnect(doctor_t *doctor, const raw_conn_t *to) {
  raw_conn_t *conn = raw_conn_connect(&doctor->net, (const struct sockaddr *)&to->address, NULL);
  if (!raw_conn_wait_connected(conn, RECONNECT_MS) || doctor->tls == NULL)
    return conn;
  raw_conn_start_tls(conn, doctor->tls, doctor->url.host, !doctor->options->insecure);
  if (!net_wait(&doctor->net, raw_conn_tls_done, conn, RECONNECT_MS))
    raw_conn_end(conn, UV_ETIMEDOUT);
  return conn;
}
