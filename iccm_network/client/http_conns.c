/* http_conns.c: the connections to one HTTP server.
 *
 * Happy path: a connection is opened when none is idle, stays open for later requests, and is removed when
 * its handle is closed. Failure: if no address accepts a connection, the owner learns it once for each
 * attempt, never from within a function that opens one. */
#include "client/http_conns.h"

#include <stdio.h>

enum { CONNECT_MS = 5000 /* all addresses together, including the name look-up */ };

static uint64_t now_ms(const mcp__http_conns_t *conns) {
  return uv_now(conns->connector.io->prepare.loop);
}

/* ---- the table ------------------------------------------------------------------------------------- */

mcp__http_conn_t *mcp__http_conns_find_idle(const mcp__http_conns_t *conns, bool is_new) {
  for (unsigned i = 0; i < conns->count; i++)
    if (mcp__http_conn_is_idle(conns->table[i]) && (!is_new || conns->table[i]->requests == 0))
      return conns->table[i];
  return NULL;
}

bool mcp__http_conns_is_any_busy(const mcp__http_conns_t *conns) {
  for (unsigned i = 0; i < conns->count; i++)
    if (conns->table[i]->exchange != NULL)
      return true;
  return false;
}

static int set_up(mcp__http_conns_t *conns, mcp__http_conn_t *conn) {
  const mcp__link_config_t *config = conns->config;
  int status = 0;
  if (config->tls != NULL)
    status = mcp__http_conn_start_tls(conn, config->tls, config->url->host, config->verify);
  mcp__stream_set_secret(conn->stream, config->token != NULL);
  conns->table[conns->count++] = conn;
  return status;
}

void mcp__http_conns_remove(mcp__http_conns_t *conns, const mcp__http_conn_t *conn) {
  unsigned at = 0;
  while (conns->table[at] != conn)
    at++;
  conns->table[at] = conns->table[--conns->count];
}

size_t mcp__http_conns_backlog(const mcp__http_conns_t *conns) {
  size_t bytes = 0;
  for (unsigned i = 0; i < conns->count; i++)
    if (!conns->table[i]->stream->closing)
      bytes += mcp__stream_backlog(conns->table[i]->stream);
  return bytes;
}

bool mcp__http_conns_is_secured(const mcp__http_conns_t *conns) {
  return conns->count == 0 || mcp__http_conn_is_secured(conns->table[0]);
}

void mcp__http_conns_set_reading(mcp__http_conns_t *conns, bool on) {
  for (unsigned i = 0; i < conns->count; i++)
    mcp__stream_read(conns->table[i]->stream, on);
}

/* ---- connecting ------------------------------------------------------------------------------------ */

void mcp__http_conns_open(mcp__http_conns_t *conns, bool is_new) {
  uint64_t now = now_ms(conns);
  if (conns->connecting || conns->connect_status != 0 || now < conns->retry_ms)
    return;
  mcp__http_conn_t *idle = mcp__http_conns_find_idle(conns, false);
  if (conns->count >= conns->max) {
    if (is_new && idle != NULL)
      mcp__http_conn_close(idle);
    return; /* continued when a connection is free or closed */
  }
  conns->next_address_ms = now + MCP__CONNECTOR_NEXT_ADDRESS_MS;
  conns->connect_by_ms = now + CONNECT_MS;
  conns->connecting = true;
  conns->connect_status =
      mcp__connector_start(&conns->connector, conns->config->url->address, conns->config->url->port);
}

void mcp__http_conns_pause(mcp__http_conns_t *conns, uint64_t ms) {
  conns->retry_ms = now_ms(conns) + ms;
}

static void fail(mcp__http_conns_t *conns, int status, const char *problem) {
  conns->connecting = false;
  conns->events.on_failed(status, problem, conns->events.arg);
}

static void on_connector_done(mcp__stream_t *stream, int status, const char *problem, void *arg) {
  mcp__http_conns_t *conns = arg;
  conns->connecting = false;
  if (stream == NULL) {
    fail(conns, status, problem);
    return;
  }
  mcp__http_conn_t *conn =
      mcp__http_conn_new(stream, conns->config->max_message, conns->events.conn, conns->events.arg);
  if (conn == NULL) {
    fail(conns, UV_ENOMEM, "out of memory");
    return;
  }
  if (set_up(conns, conn) != 0)
    mcp__http_conn_close(conn);
  conns->events.on_opened(conns->events.arg);
}

static void on_connector_idle(void *arg) {
  mcp__http_conns_t *conns = arg;
  conns->events.on_idle(conns->events.arg);
}

static void tick_connecting(mcp__http_conns_t *conns, uint64_t now) {
  char problem[320];
  mcp__connector_t *connector = &conns->connector;
  if (conns->connect_status != 0) {
    int status = conns->connect_status;
    conns->connect_status = 0;
    fail(conns, status, connector->problem);
  } else if (now >= conns->connect_by_ms) {
    mcp__connector_cancel(connector);
    snprintf(problem, sizeof problem, "not connected within %d ms%s%s", CONNECT_MS,
             *connector->problem != '\0' ? "; " : "", connector->problem);
    fail(conns, MCP_ECONNECT, problem);
  } else if (now >= conns->next_address_ms) {
    conns->next_address_ms = now + MCP__CONNECTOR_NEXT_ADDRESS_MS;
    mcp__connector_try_next(connector);
  }
}

void mcp__http_conns_tick(mcp__http_conns_t *conns, uint64_t now) {
  if (now >= conns->retry_ms)
    conns->retry_ms = 0;
  if (conns->connecting)
    tick_connecting(conns, now);
}

static uint64_t earlier(uint64_t a_ms, uint64_t b_ms) {
  return a_ms < b_ms ? a_ms : b_ms;
}

uint64_t mcp__http_conns_due_ms(const mcp__http_conns_t *conns, uint64_t now) {
  uint64_t due_ms = conns->retry_ms != 0 ? conns->retry_ms : UINT64_MAX;
  if (!conns->connecting)
    return due_ms;
  if (conns->connect_status != 0)
    return now;
  return earlier(due_ms, earlier(conns->next_address_ms, conns->connect_by_ms));
}

/* ---- creation and end ------------------------------------------------------------------------------ */

int mcp__http_conns_init(mcp__http_conns_t *conns, mcp__stream_t *stream, const mcp__link_config_t *config,
                         const mcp__http_conns_events_t *events) {
  *conns = (mcp__http_conns_t){
      .config = config,
      .max = MCP__HTTP_CONNS_MAX,
      .events = *events,
      .connector = {
          .io = stream->io, .on_done = on_connector_done, .on_idle = on_connector_idle, .arg = conns}};
  mcp__http_conn_t *conn = mcp__http_conn_new(stream, config->max_message, events->conn, events->arg);
  return conn != NULL ? set_up(conns, conn) : UV_ENOMEM;
}

void mcp__http_conns_close(mcp__http_conns_t *conns) {
  for (unsigned i = 0; i < conns->count; i++)
    mcp__http_conn_close(conns->table[i]);
  mcp__connector_close(&conns->connector);
}

bool mcp__http_conns_is_closed(const mcp__http_conns_t *conns) {
  return conns->count == 0 && mcp__connector_is_idle(&conns->connector);
}
