/* doctor_upgrade.c: sends the HTTP upgrade request to each address that accepted the connection.
 *
 * Happy path: status 101; later stages use the first such connection. Failure: the response is shown and
 * mapped to a diagnosis; without one, a second connection probes for TLS.
 */
#include <string.h>
#include <strings.h>
#include "doctor_stage.h"
#include "doctor_upgrade.h"
#include "raw_conn.h"

enum { UPGRADE_MS = 4000, BODY_MS = 300, TLS_MS = 1500, SHOWN_LINE = 90 };

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

/* ---- TLS probe --------------------------------------------------------------------------------------- */

/* A ClientHello (RFC 5246 section 7.4.1.2). Every TLS server responds to it, at least with an alert. */
static const unsigned char
    client_hello[] = {0x16, 0x03, 0x01, 0x00, 0x39, /* a handshake record of 57 bytes */
                      0x01, 0x00, 0x00, 0x35,       /* ClientHello of 53 bytes */
                      0x03, 0x03,                   /* TLS 1.2 */
                      'i',  'c',  'c',  'm',  ' ',  'd',  'o',  'c',  't',  'o',  'r',
                      ':',  ' ',  'a',  'n',  'y',  'b',  'o',  'd',  'y',  ' ',  's',
                      'p',  'e',  'a',  'k',  'i',  'n',  'g',  ' ',  'T',  'L', /* random */
                      0x00,                                                      /* no session */
                      0x00, 0x0e, 0xc0, 0x2f, 0xc0, 0x30, 0xc0, 0x2b, 0xc0, 0x2c, 0x00,
                      0x9c, 0x00, 0x2f, 0x00, 0x35, /* ciphers */
                      0x01, 0x00};                  /* no compression */

static bool is_tls(const raw_conn_t *conn) { /* a handshake record or an alert, of any version */
  return conn->initial_len >= 3 && (conn->initial_data[0] == 0x16 || conn->initial_data[0] == 0x15) &&
         conn->initial_data[1] == 0x03;
}

static bool tls_probe_done(void *arg) {
  const raw_conn_t *conn = arg;
  return conn->initial_len >= 3 || conn->state == RAW_CONN_ENDED;
}

static bool speaks_tls(doctor_t *doctor, const raw_conn_t *asked) {
  if (is_tls(asked))
    return true;
  raw_conn_t *conn = raw_conn_connect(&doctor->net, (const struct sockaddr *)&asked->address, NULL);
  if (!raw_conn_wait_connected(conn, TLS_MS))
    return false;
  raw_conn_send_raw(conn, client_hello, sizeof client_hello);
  net_wait(&doctor->net, tls_probe_done, conn, TLS_MS);
  raw_conn_end(conn, UV_ECANCELED);
  return is_tls(conn);
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

static diagnosis_id_t diagnose_protocol(const raw_conn_t *conn) {
  if (strncmp(conn->initial_data, "SSH-", 4) == 0)
    return DIAGNOSIS_SSH;
  if (strncmp(conn->initial_data, "-ERR", 4) == 0 || strncmp(conn->initial_data, "-DENIED", 7) == 0)
    return DIAGNOSIS_REDIS;
  return DIAGNOSIS_NOT_HTTP;
}

static diagnosis_id_t diagnose_upgrade(doctor_t *doctor, const raw_conn_t *conn) {
  bool http = conn->head_state == MCP__HEAD_DONE;
  if (conn->tls == NULL && (!http || conn->head.status == 400) && speaks_tls(doctor, conn))
    return DIAGNOSIS_TLS;
  if (http && conn->head.status == 101)
    return strstr(conn->upgrade_error, "Sec-WebSocket-Accept") != NULL ? DIAGNOSIS_WRONG_ACCEPT
                                                                       : DIAGNOSIS_WRONG_SWITCH;
  if (http)
    return diagnose_status(conn->head.status);
  if (conn->initial_len > 0)
    return conn->head_state == MCP__HEAD_BAD ? diagnose_protocol(conn) : DIAGNOSIS_UPGRADE_UNFINISHED;
  return conn->state == RAW_CONN_ENDED ? DIAGNOSIS_UPGRADE_CLOSED
                                       : doctor_timeout_cause(doctor, DIAGNOSIS_UPGRADE_SILENT);
}

/* The length of the first line of text, at most max. */
static int line_length(const char *text, size_t max) {
  size_t len = strcspn(text, "\r\n");
  return (int)(len < max ? len : max);
}

/* The value of a header in a raw response; "": not found. */
static const char *find_header(const char *response, const char *name) {
  size_t len = strlen(name);
  for (const char *line = strstr(response, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
    line += 2;
    if (strncasecmp(line, name, len) == 0 && line[len] == ':')
      return line + len + 1 + strspn(line + len + 1, " ");
  }
  return "";
}

/* The first line, the Location header and the beginning of the body. */
static void describe_response(const raw_conn_t *conn, char *text, size_t size) {
  const char *body = strstr(conn->initial_data, "\r\n\r\n"),
             *location = find_header(conn->initial_data, "Location");
  int location_len =
      line_length(location, strcspn(location, "?") < SHOWN_LINE ? strcspn(location, "?") : SHOWN_LINE);
  int body_len = body != NULL ? line_length(body += 4, SHOWN_LINE) : 0;
  snprintf(text, size, "responded \"%.*s\"%s%.*s%s%.*s%s", line_length(conn->initial_data, SHOWN_LINE),
           conn->initial_data, location_len > 0 ? ", Location: " : "", location_len, location,
           body_len > 0 ? ", \"" : "", body_len, body_len > 0 ? body : "", body_len > 0 ? "\"" : "");
}

static void add_failure(doctor_t *doctor, const raw_conn_t *conn) {
  char response[FINDING_WHAT_SIZE - FINDING_ADDRESS_SIZE - 16];
  double ms = conn->state == RAW_CONN_OPEN && conn->head_state == MCP__HEAD_MORE ? doctor_elapsed_ms(doctor)
                                                                                 : raw_conn_step_ms(conn);
  diagnosis_id_t diagnosis = diagnose_upgrade(doctor, conn);
  if (conn->initial_len > 0 && !is_tls(conn))
    describe_response(conn, response, sizeof response);
  else if (is_tls(conn))
    snprintf(response, sizeof response, "responded in TLS");
  else if (conn->state != RAW_CONN_ENDED)
    snprintf(response, sizeof response, "sent no response");
  else if (conn->status == UV_EOF)
    snprintf(response, sizeof response, "closed the connection without a response");
  else
    snprintf(response, sizeof response, "sent no response: %s", uv_strerror(conn->status));
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
