/* doctor_upgrade.c: the HTTP request that switches to WebSocket, sent to each address that accepted.
 *
 * Happy path: 101, and the first such connection is the one to talk over. Failure: the server's own answer is
 * shown and named for what it is; where there is none, a second connection asks whether TLS is spoken here.
 */
#include <string.h>
#include <strings.h>
#include "doctor.h"

enum { UPGRADE_MS = 4000, BODY_MS = 300, TLS_MS = 1500, SHOWN_LINE = 90 };

static bool all_judged(void *arg) {
  const doctor_t *doctor = arg;
  for (size_t i = 0; i < doctor->address_count; i++)
    if (!wire_is_judged(doctor->wires[i]))
      return false;
  return true;
}

static bool has_ended(void *arg) {
  const wire_t *wire = arg;
  return wire->state == WIRE_ENDED;
}

/* ---- a TLS port, spoken to in plain text ------------------------------------------------------------- */

/* A ClientHello (RFC 5246 section 7.4.1.2) that every TLS server answers, if only by an alert. */
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

static bool is_tls(const wire_t *wire) { /* a handshake record or an alert, of any version */
  return wire->first_len >= 3 && (wire->first[0] == 0x16 || wire->first[0] == 0x15) && wire->first[1] == 0x03;
}

static bool tls_is_clear(void *arg) {
  const wire_t *wire = arg;
  return wire->first_len >= 3 || wire->state == WIRE_ENDED;
}

static bool speaks_tls(doctor_t *doctor, const wire_t *asked) {
  if (is_tls(asked))
    return true;
  wire_t *wire = wire_connect(&doctor->net, (const struct sockaddr *)&asked->address, NULL);
  if (!wire_wait_connected(wire, TLS_MS))
    return false;
  wire_send_raw(wire, client_hello, sizeof client_hello);
  net_wait(&doctor->net, tls_is_clear, wire, TLS_MS);
  wire_end(wire, UV_ECANCELED);
  return is_tls(wire);
}

/* ---- answers --------------------------------------------------------------------------------------- */

static cause_id_t why_status(int status) {
  switch (status) {
  case 400:
  case 405:
  case 426:
    return CAUSE_BAD_REQUEST;
  case 401:
    return CAUSE_UNAUTHORIZED;
  case 403:
    return CAUSE_FORBIDDEN;
  case 404:
    return CAUSE_NO_PATH;
  case 502:
  case 504:
    return CAUSE_GATEWAY;
  case 503:
    return CAUSE_BUSY;
  default:
    return status >= 200 && status < 300   ? CAUSE_PAGE
           : status >= 300 && status < 400 ? CAUSE_REDIRECT
                                           : CAUSE_OTHER_STATUS;
  }
}

static cause_id_t why_other(const wire_t *wire) {
  if (strncmp(wire->first, "SSH-", 4) == 0)
    return CAUSE_SSH;
  if (strncmp(wire->first, "-ERR", 4) == 0 || strncmp(wire->first, "-DENIED", 7) == 0)
    return CAUSE_REDIS;
  return CAUSE_NOT_HTTP;
}

static cause_id_t why_not(doctor_t *doctor, const wire_t *wire) {
  bool http = wire->head_state == MCP__HEAD_DONE;
  if (wire->tls == NULL && (!http || wire->head.status == 400) && speaks_tls(doctor, wire))
    return CAUSE_TLS;
  if (http && wire->head.status == 101)
    return strstr(wire->problem, "Sec-WebSocket-Accept") != NULL ? CAUSE_WRONG_ACCEPT : CAUSE_WRONG_SWITCH;
  if (http)
    return why_status(wire->head.status);
  if (wire->first_len > 0)
    return wire->head_state == MCP__HEAD_BAD ? why_other(wire) : CAUSE_UPGRADE_UNFINISHED;
  return wire->state == WIRE_ENDED ? CAUSE_UPGRADE_CLOSED : doctor_late(doctor, CAUSE_UPGRADE_SILENT);
}

/* So many bytes of a text: up to the end of its line, and no more than max. */
static int line_length(const char *text, size_t max) {
  size_t len = strcspn(text, "\r\n");
  return (int)(len < max ? len : max);
}

/* The value of a header in a raw answer; "" where there is none. */
static const char *find_header(const char *answer, const char *name) {
  size_t len = strlen(name);
  for (const char *line = strstr(answer, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
    line += 2;
    if (strncasecmp(line, name, len) == 0 && line[len] == ':')
      return line + len + 1 + strspn(line + len + 1, " ");
  }
  return "";
}

/* The server's own words: the first line, where it sends its callers, the body's beginning. */
static void describe_answer(const wire_t *wire, char *text, size_t size) {
  const char *body = strstr(wire->first, "\r\n\r\n"), *location = find_header(wire->first, "Location");
  int location_len =
      line_length(location, strcspn(location, "?") < SHOWN_LINE ? strcspn(location, "?") : SHOWN_LINE);
  int body_len = body != NULL ? line_length(body += 4, SHOWN_LINE) : 0;
  snprintf(text, size, "\"%.*s\"%s%.*s%s%.*s%s", line_length(wire->first, SHOWN_LINE), wire->first,
           location_len > 0 ? ", Location: " : "", location_len, location, body_len > 0 ? ", \"" : "",
           body_len, body_len > 0 ? body : "", body_len > 0 ? "\"" : "");
}

static void add_refusal(doctor_t *doctor, const wire_t *wire) {
  char answer[FINDING_WHAT_SIZE - FINDING_ADDRESS_SIZE - 16];
  double ms =
      wire->state == WIRE_OPEN && wire->head_state == MCP__HEAD_MORE ? doctor_ms(doctor) : wire_ms(wire);
  cause_id_t cause = why_not(doctor, wire);
  if (wire->first_len > 0 && !is_tls(wire))
    describe_answer(wire, answer, sizeof answer);
  else if (is_tls(wire))
    snprintf(answer, sizeof answer, "in TLS");
  else if (wire->state != WIRE_ENDED)
    snprintf(answer, sizeof answer, "nothing");
  else if (wire->status == UV_EOF)
    snprintf(answer, sizeof answer, "nothing and closed");
  else
    snprintf(answer, sizeof answer, "nothing: %s", uv_strerror(wire->status));
  doctor_add(doctor, cause, wire->name, ms, "%s answered %s", wire->name, answer);
}

bool doctor_upgrade(doctor_t *doctor) {
  for (size_t i = 0; i < doctor->address_count; i++)
    if (doctor->wires[i]->state == WIRE_OPEN)
      wire_upgrade(doctor->wires[i], &doctor->url);
  net_wait(&doctor->net, all_judged, doctor, UPGRADE_MS);
  for (size_t i = 0; i < doctor->address_count; i++) {
    wire_t *wire = doctor->wires[i];
    if (*wire->key == '\0')
      continue; /* it was not asked: there is no connection */
    if (wire->head_state == MCP__HEAD_DONE && wire->switch_status == 0) {
      doctor_add(doctor, CAUSE_NONE, wire->name, wire_ms(wire), "%s switches to WebSocket", wire->name);
      doctor->talk = doctor->talk != NULL ? doctor->talk : wire;
      continue;
    }
    if (wire->head_state == MCP__HEAD_DONE)
      net_wait(&doctor->net, has_ended, wire, BODY_MS);
    add_refusal(doctor, wire);
  }
  return doctor->talk != NULL;
}
