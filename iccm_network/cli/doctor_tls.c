/* doctor_tls.c: TLS's handshake with each address that accepted, where the address begins with wss://.
 *
 * Happy path: version and certificate are shown. Failure: OpenSSL's reason is named for what it is; an
 * address that failed is not spoken to any more.
 */
#include "doctor.h"

enum { SECURE_MS = 5000 };

static bool all_secured(void *arg) {
  const doctor_t *doctor = arg;
  for (size_t i = 0; i < doctor->address_count; i++)
    if (!wire_is_secured(doctor->wires[i]))
      return false;
  return true;
}

static cause_id_t why_not(doctor_t *doctor, const wire_t *wire) {
  static const cause_id_t causes[] = {
      [MCP__TLS_OK] = CAUSE_TLS_FAILED,           [MCP__TLS_NOT_SPOKEN] = CAUSE_TLS_NOT_SPOKEN,
      [MCP__TLS_EXPIRED] = CAUSE_TLS_EXPIRED,     [MCP__TLS_NOT_YET] = CAUSE_TLS_NOT_YET,
      [MCP__TLS_UNTRUSTED] = CAUSE_TLS_UNTRUSTED, [MCP__TLS_WRONG_NAME] = CAUSE_TLS_WRONG_NAME,
      [MCP__TLS_UNFIT] = CAUSE_TLS_UNFIT,         [MCP__TLS_REFUSED] = CAUSE_TLS_REFUSED,
      [MCP__TLS_FAILED] = CAUSE_TLS_FAILED,
  };
  if (wire->status == UV_ETIMEDOUT)
    return doctor_late(doctor, CAUSE_TLS_SILENT);
  return wire->status == MCP_ETLS ? causes[wire->tls->fault] : CAUSE_TLS_CLOSED;
}

static void add_result(doctor_t *doctor, const wire_t *wire) {
  char text[400];
  if (wire->state == WIRE_OPEN) {
    mcp__tls_describe(wire->tls, text, sizeof text);
    doctor_add(doctor, CAUSE_NONE, wire->name, wire_ms(wire), "%s speaks %s", wire->name, text);
    return;
  }
  cause_id_t cause = why_not(doctor, wire);
  const char *what = wire->status == MCP_ETLS       ? wire->tls->problem
                     : wire->status == UV_ETIMEDOUT ? "no answer in TLS"
                     : wire->status == UV_EOF       ? "it closed"
                                                    : uv_strerror(wire->status);
  doctor_add(doctor, cause, wire->name, wire_ms(wire), "%s: %s", wire->name, what);
}

bool doctor_secure(doctor_t *doctor) {
  char problem[512];
  mcp__tls_context_t *context;
  size_t secured = 0;
  if (!doctor->url.tls)
    return true;
  if (mcp__tls_client(mcp_env_text("ICCM_TLS_CA", NULL), &context, problem, sizeof problem) != 0) {
    doctor_add(doctor, CAUSE_TLS_CA, NULL, 0, "%s", problem);
    return false;
  }
  for (size_t i = 0; i < doctor->address_count; i++)
    if (doctor->wires[i]->state == WIRE_OPEN)
      wire_start_tls(doctor->wires[i], context, doctor->url.host, !doctor->options->insecure);
  mcp__tls_release(context); /* the connections hold it */
  net_wait(&doctor->net, all_secured, doctor, SECURE_MS);
  for (size_t i = 0; i < doctor->address_count; i++) {
    wire_t *wire = doctor->wires[i];
    if (wire->tls == NULL)
      continue; /* there is no connection */
    if (!wire_is_secured(wire))
      wire_end(wire, UV_ETIMEDOUT);
    secured += wire->state == WIRE_OPEN;
    add_result(doctor, wire);
  }
  return secured > 0;
}
