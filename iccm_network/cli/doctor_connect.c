/* doctor_connect.c: resolves the name and connects to all its addresses at once.
 *
 * Happy path: the name has addresses, and each accepts the connection. Failure: the diagnosis for an address
 * depends on whether others accept. A server on this machine that is bound to 127.0.0.1 only is recognised by
 * a second connection: to 127.0.0.1 if an external address refuses, and the other way round.
 */
#include <arpa/inet.h>
#include <string.h>
#include "doctor_connect.h"
#include "doctor_stage.h"
#include "raw_conn.h"

enum { NAME_MS = 5000, CONNECT_MS = 5000, PROBE_MS = 1000 };

static void describe_addresses(const doctor_t *doctor, char *text, size_t size) {
  size_t at = 0;
  for (size_t i = 0; i < doctor->address_count && at < size; i++) {
    char name[INET6_ADDRSTRLEN] = "?";
    uv_ip_name((const struct sockaddr *)&doctor->addresses[i], name, sizeof name);
    at += (size_t)snprintf(text + at, size - at, "%s%s", i == 0 ? "" : ", ", name);
  }
}

static bool parse_address_literal(doctor_t *doctor) {
  void *first = &doctor->addresses[0];
  return uv_ip4_addr(doctor->url.address, doctor->url.port, first) == 0 ||
         uv_ip6_addr(doctor->url.address, doctor->url.port, first) == 0;
}

bool doctor_resolve(doctor_t *doctor) {
  const char *host = doctor->url.host;
  int status = 0;
  if (parse_address_literal(doctor)) {
    doctor->address_count = 1;
    doctor_add(doctor, DIAGNOSIS_NONE, NULL, doctor_elapsed_ms(doctor),
               "%s is an address; no name to resolve", host);
    return true;
  }
  doctor->address_count = net_resolve(&doctor->net, host, doctor->url.port, doctor->addresses,
                                      DOCTOR_MAX_ADDRESSES, NAME_MS, &status);
  if (doctor->address_count > 0) {
    char text[FINDING_WHAT_SIZE / 2];
    describe_addresses(doctor, text, sizeof text);
    doctor_add(doctor, DIAGNOSIS_NONE, NULL, doctor_elapsed_ms(doctor), "%s is %s", host, text);
    return true;
  }
  bool late = status == UV_ETIMEDOUT || status == UV_EAI_AGAIN;
  doctor_add(doctor, late ? doctor_timeout_cause(doctor, DIAGNOSIS_NAME_LATE) : DIAGNOSIS_NAME_UNKNOWN, NULL,
             doctor_elapsed_ms(doctor), "cannot resolve %s: %s", host,
             status != 0 ? uv_strerror(status) : "the name has no address");
  return false;
}

/* ---- addresses ------------------------------------------------------------------------------------- */

static bool is_loopback(const struct sockaddr_storage *address) {
  if (address->ss_family == AF_INET)
    return (ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24) == 127;
  return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

/* Compares the addresses without the port. */
static bool same_host(const struct sockaddr_storage *a, const uv_interface_address_t *b) {
  if (a->ss_family == AF_INET && b->address.address4.sin_family == AF_INET)
    return ((const struct sockaddr_in *)a)->sin_addr.s_addr == b->address.address4.sin_addr.s_addr;
  return a->ss_family == AF_INET6 && b->address.address6.sin6_family == AF_INET6 &&
         memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr, &b->address.address6.sin6_addr,
                sizeof(struct in6_addr)) == 0;
}

static bool is_local_address(const struct sockaddr_storage *address) {
  uv_interface_address_t *list;
  int count;
  bool own = false;
  if (uv_interface_addresses(&list, &count) != 0)
    return false;
  for (int i = 0; i < count; i++)
    own = own || same_host(address, &list[i]);
  uv_free_interface_addresses(list, count);
  return own;
}

/* The first external IPv4 address of this machine, with the port. */
static bool find_external_address(int port, struct sockaddr_storage *address) {
  uv_interface_address_t *list;
  int count;
  bool found = false;
  if (uv_interface_addresses(&list, &count) != 0)
    return false;
  for (int i = 0; i < count && !found; i++) {
    if (list[i].is_internal || list[i].address.address4.sin_family != AF_INET)
      continue;
    struct sockaddr_in four = list[i].address.address4;
    four.sin_port = htons((uint16_t)port);
    memcpy(address, &four, sizeof four);
    found = true;
  }
  uv_free_interface_addresses(list, count);
  return found;
}

/* Connects to one of this machine's addresses. The source is 127.0.0.1: otherwise a server that admits only
 * private networks would count and log a refused public client. */
static raw_conn_t *probe(doctor_t *doctor, const struct sockaddr_storage *address) {
  struct sockaddr_in loopback;
  uv_ip4_addr("127.0.0.1", 0, &loopback);
  raw_conn_t *conn =
      raw_conn_connect(&doctor->net, (const struct sockaddr *)address, (struct sockaddr *)&loopback);
  if (raw_conn_wait_connected(conn, PROBE_MS))
    raw_conn_end(conn, UV_ECANCELED);
  return conn;
}

static bool loopback_accepts(doctor_t *doctor) {
  struct sockaddr_storage address = {0};
  uv_ip4_addr("127.0.0.1", doctor->url.port, (struct sockaddr_in *)&address);
  return probe(doctor, &address)->status == UV_ECANCELED;
}

/* ---- connecting ------------------------------------------------------------------------------------ */

static bool all_connects_done(void *arg) {
  const doctor_t *doctor = arg;
  for (size_t i = 0; i < doctor->address_count; i++)
    if (!raw_conn_connect_done(doctor->conns[i]))
      return false;
  return true;
}

static diagnosis_id_t diagnose_refused(doctor_t *doctor, const raw_conn_t *conn) {
  if (is_loopback(&conn->address))
    return DIAGNOSIS_REFUSED_LOOPBACK;
  return is_local_address(&conn->address) && loopback_accepts(doctor) ? DIAGNOSIS_LOOPBACK_ONLY
                                                                      : DIAGNOSIS_REFUSED;
}

static diagnosis_id_t diagnose_connect(doctor_t *doctor, const raw_conn_t *conn, bool others_accept) {
  switch (conn->status) {
  case UV_ECONNREFUSED:
    return others_accept ? DIAGNOSIS_REFUSED_OTHER_ACCEPTS : diagnose_refused(doctor, conn);
  case UV_ETIMEDOUT:
    return others_accept ? DIAGNOSIS_DEAD_OTHER_ACCEPTS
                         : doctor_timeout_cause(doctor, DIAGNOSIS_DEAD_ADDRESS);
  case UV_EHOSTUNREACH:
    return others_accept ? DIAGNOSIS_DEAD_OTHER_ACCEPTS : DIAGNOSIS_NO_MACHINE;
  case UV_ENETUNREACH:
  case UV_EADDRNOTAVAIL:
    return others_accept ? DIAGNOSIS_NO_ROUTE_OTHER_ACCEPTS : DIAGNOSIS_NO_ROUTE;
  default:
    return DIAGNOSIS_NO_CONNECTION;
  }
}

static void add_failure(doctor_t *doctor, const raw_conn_t *conn, bool others_accept) {
  diagnosis_id_t diagnosis = diagnose_connect(doctor, conn, others_accept);
  if (conn->status == UV_ECONNREFUSED)
    doctor_add(doctor, diagnosis, conn->name, raw_conn_step_ms(conn), "%s refused the connection%s",
               conn->name, diagnosis == DIAGNOSIS_LOOPBACK_ONLY ? ", 127.0.0.1 accepts it" : "");
  else if (conn->status == UV_ETIMEDOUT)
    doctor_add(doctor, diagnosis, conn->name, raw_conn_step_ms(conn), "%s did not respond", conn->name);
  else
    doctor_add(doctor, diagnosis, conn->name, raw_conn_step_ms(conn), "%s: %s", conn->name,
               uv_strerror(conn->status));
}

/* Warns if the server accepts connections on loopback only. */
static void check_external_address(doctor_t *doctor) {
  struct sockaddr_storage external = {0};
  for (size_t i = 0; i < doctor->address_count; i++)
    if (doctor->conns[i]->state == RAW_CONN_OPEN && !is_loopback(&doctor->addresses[i]))
      return;
  if (!find_external_address(doctor->url.port, &external))
    return;
  const raw_conn_t *conn = probe(doctor, &external);
  if (conn->status == UV_ECONNREFUSED)
    doctor_add(doctor, DIAGNOSIS_LOOPBACK_ONLY_SEEN_INSIDE, conn->name, raw_conn_step_ms(conn),
               "%s, an external address of this machine, refuses the connection", conn->name);
}

bool doctor_connect(doctor_t *doctor) {
  size_t accepted = 0;
  for (size_t i = 0; i < doctor->address_count; i++)
    doctor->conns[i] = raw_conn_connect(&doctor->net, (const struct sockaddr *)&doctor->addresses[i], NULL);
  net_wait(&doctor->net, all_connects_done, doctor, CONNECT_MS);
  for (size_t i = 0; i < doctor->address_count; i++) {
    if (!raw_conn_connect_done(doctor->conns[i]))
      raw_conn_end(doctor->conns[i], UV_ETIMEDOUT);
    accepted += doctor->conns[i]->state == RAW_CONN_OPEN;
  }
  for (size_t i = 0; i < doctor->address_count; i++) {
    const raw_conn_t *conn = doctor->conns[i];
    if (conn->state == RAW_CONN_OPEN)
      doctor_add(doctor, DIAGNOSIS_NONE, conn->name, raw_conn_step_ms(conn), "%s accepts connections",
                 conn->name);
    else
      add_failure(doctor, conn, accepted > 0);
  }
  if (accepted > 0)
    check_external_address(doctor);
  return accepted > 0;
}
