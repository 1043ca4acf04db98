/* doctor_response.c: the first bytes that a server sends, whatever it speaks.
 *
 * Happy path: the response is HTTP, and its first line, headers and body are shown. Failure: TLS, SSH and
 * Redis are recognised by their first bytes; a silent port by a second connection that starts a TLS
 * handshake.
 */
#include "doctor_response.h"

#include <string.h>
#include <strings.h>

enum { TLS_MS = 1500, SHOWN_LINE = 90, SHOWN_SERVER = 40 };

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

bool doctor_is_tls(const raw_conn_t *conn) { /* a handshake record or an alert, of any version */
  return conn->initial_len >= 3 && (conn->initial_data[0] == 0x16 || conn->initial_data[0] == 0x15) &&
         conn->initial_data[1] == 0x03;
}

static bool tls_probe_done(void *arg) {
  const raw_conn_t *conn = arg;
  return conn->initial_len >= 3 || conn->state == RAW_CONN_ENDED;
}

bool doctor_speaks_tls(doctor_t *doctor, const raw_conn_t *asked) {
  if (doctor_is_tls(asked))
    return true;
  raw_conn_t *conn = raw_conn_connect(&doctor->net, (const struct sockaddr *)&asked->address, NULL);
  if (!raw_conn_wait_connected(conn, TLS_MS))
    return false;
  raw_conn_send_raw(conn, client_hello, sizeof client_hello);
  net_wait(&doctor->net, tls_probe_done, conn, TLS_MS);
  raw_conn_end(conn, UV_ECANCELED);
  return doctor_is_tls(conn);
}

/* ---- other protocols -------------------------------------------------------------------------------- */

diagnosis_id_t doctor_other_protocol(const raw_conn_t *conn) {
  if (strncmp(conn->initial_data, "SSH-", 4) == 0)
    return DIAGNOSIS_SSH;
  if (strncmp(conn->initial_data, "-ERR", 4) == 0 || strncmp(conn->initial_data, "-DENIED", 7) == 0)
    return DIAGNOSIS_REDIS;
  return DIAGNOSIS_NOT_HTTP;
}

/* ---- the text of a response --------------------------------------------------------------------------- */

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

/* The first line, the headers Location and Server, and the beginning of the body. */
static void describe_bytes(const raw_conn_t *conn, const char *body, char text[DOCTOR_RESPONSE_SIZE]) {
  const char *location = find_header(conn->initial_data, "Location"),
             *server = find_header(conn->initial_data, "Server");
  size_t query = strcspn(location, "?");
  int location_len = line_length(location, query < SHOWN_LINE ? query : SHOWN_LINE);
  int server_len = line_length(server, SHOWN_SERVER), body_len = line_length(body, SHOWN_LINE);
  snprintf(text, DOCTOR_RESPONSE_SIZE, "responded \"%.*s\"%s%.*s%s%.*s%s%.*s%s",
           line_length(conn->initial_data, SHOWN_LINE), conn->initial_data,
           location_len > 0 ? ", Location: " : "", location_len, location, server_len > 0 ? ", Server: " : "",
           server_len, server, body_len > 0 ? ", \"" : "", body_len, body, body_len > 0 ? "\"" : "");
}

void doctor_describe_response(const raw_conn_t *conn, const char *body, char text[DOCTOR_RESPONSE_SIZE]) {
  if (doctor_is_tls(conn))
    snprintf(text, DOCTOR_RESPONSE_SIZE, "responded in TLS");
  else if (conn->initial_len > 0)
    describe_bytes(conn, body, text);
  else if (conn->state != RAW_CONN_ENDED)
    snprintf(text, DOCTOR_RESPONSE_SIZE, "sent no response");
  else if (conn->status == UV_EOF)
    snprintf(text, DOCTOR_RESPONSE_SIZE, "closed the connection without a response");
  else
    snprintf(text, DOCTOR_RESPONSE_SIZE, "sent no response: %s", uv_strerror(conn->status));
}
