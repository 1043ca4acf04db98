/* connector.c: name look-up, and parallel connection attempts.
 *
 * Happy path: libuv's thread pool resolves the name. The first address is tried; each further one when the
 * previous one has failed or has not answered for 250 ms. The first established connection wins, the others
 * are closed. Failure: all attempts have failed, and the last cause is reported. The caller cancels at its
 * deadline. A look-up that cannot be cancelled serves the next start: otherwise a resolver that does not
 * answer would be queried repeatedly and occupy all threads. */
#include "transport/connector.h"

#include "transport/peer_addr.h"

#include <stdio.h>
#include <string.h>

typedef struct mcp__attempt {
  mcp__stream_t stream; /* first member: the receiver of the stream frees the attempt */
  uv_connect_t request;
  mcp__connector_t *connector;
  struct mcp__attempt *next;
  bool running;
} attempt_t;

/* Outlives a cancelled connector, because a look-up cannot always be cancelled. */
typedef struct mcp__lookup {
  uv_getaddrinfo_t request;
  mcp__connector_t *connector; /* NULL: the connector was closed */
  bool wanted;                 /* its result is needed */
} lookup_t;

static void attempt_closed(mcp__stream_t *stream) {
  attempt_t *attempt = (attempt_t *)(void *)stream;
  mcp__connector_t *connector = attempt->connector;
  attempt_t **at = &connector->attempts;
  while (*at != attempt)
    at = &(*at)->next;
  *at = attempt->next;
  mcp__free(attempt);
  if (mcp__connector_is_idle(connector))
    connector->on_idle(connector->arg);
}

static const mcp__stream_events_t attempt_events = {.on_closed = attempt_closed};

bool mcp__connector_is_idle(const mcp__connector_t *connector) {
  return connector->attempts == NULL;
}

static void close_others(mcp__connector_t *connector) {
  for (attempt_t *attempt = connector->attempts; attempt != NULL; attempt = attempt->next) {
    attempt->running = false;
    mcp__stream_close(&attempt->stream);
  }
  connector->running = 0;
  connector->tried = connector->count;
}

static void record_failure(mcp__connector_t *connector, const struct sockaddr *address, int status) {
  char name[MCP__PEER_NAME_SIZE];
  mcp__peer_name(address, name);
  connector->status = MCP_ECONNECT;
  snprintf(connector->problem, sizeof connector->problem, "%s: %s", name, mcp_strerror(status));
}

static void on_connect(uv_connect_t *request, int status) {
  attempt_t *attempt = (attempt_t *)((char *)request - offsetof(attempt_t, request));
  mcp__connector_t *connector = attempt->connector;
  if (!attempt->running)
    return; /* another attempt won, or cancelled */
  attempt->running = false;
  connector->running--;
  if (status == 0) {
    attempt_t **at = &connector->attempts;
    while (*at != attempt)
      at = &(*at)->next;
    *at = attempt->next;
    close_others(connector);
    mcp__stream_connected(&attempt->stream);
    connector->on_done(&attempt->stream, 0, NULL, connector->arg);
    return;
  }
  record_failure(connector, attempt->stream.arg, status);
  mcp__stream_close(&attempt->stream);
  if (connector->running == 0)
    mcp__connector_try_next(connector);
}

/* Tries one more address. Returns false if it failed at once. */
static bool try_address(mcp__connector_t *connector) {
  struct sockaddr *address = (struct sockaddr *)&connector->addresses[connector->tried++];
  attempt_t *attempt = mcp__calloc(sizeof *attempt);
  int status = UV_ENOMEM;
  if (attempt != NULL)
    status = mcp__stream_init(&attempt->stream, connector->io, SIZE_MAX / 4, &attempt_events, address);
  if (status != 0) {
    mcp__free(attempt);
    record_failure(connector, address, status);
    return false;
  }
  attempt->connector = connector;
  attempt->next = connector->attempts;
  connector->attempts = attempt;
  status = uv_tcp_connect(&attempt->request, &attempt->stream.tcp, address, on_connect);
  if (status != 0) {
    record_failure(connector, address, status);
    mcp__stream_close(&attempt->stream);
    return false;
  }
  attempt->running = true;
  connector->running++;
  return true;
}

void mcp__connector_try_next(mcp__connector_t *connector) {
  if (connector->lookup != NULL)
    return;
  while (connector->tried < connector->count)
    if (try_address(connector))
      return;
  if (connector->running == 0 && connector->count > 0) {
    connector->count = 0;
    connector->on_done(NULL, connector->status, connector->problem, connector->arg);
  }
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list) {
  lookup_t *lookup = (lookup_t *)((char *)request - offsetof(lookup_t, request));
  mcp__connector_t *connector = lookup->connector;
  bool wanted = lookup->wanted;
  mcp__free(lookup);
  if (connector != NULL)
    connector->lookup = NULL;
  if (wanted) {
    for (struct addrinfo *each = list; each != NULL && connector->count < MCP__CONNECTOR_MAX_ADDRESSES;
         each = each->ai_next)
      memcpy(&connector->addresses[connector->count++], each->ai_addr, each->ai_addrlen);
    if (connector->count == 0) {
      snprintf(connector->problem, sizeof connector->problem, "cannot resolve the host name: %s",
               status != 0 ? mcp_strerror(status) : "no address");
      connector->on_done(NULL, MCP_ERESOLVE, connector->problem, connector->arg);
    } else {
      mcp__connector_try_next(connector);
    }
  }
  uv_freeaddrinfo(list);
}

static int resolve(mcp__connector_t *connector, const char *host, int port) {
  char service[8];
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  if (connector->lookup != NULL) {
    connector->lookup->wanted = true;
    return 0;
  }
  lookup_t *lookup = mcp__calloc(sizeof *lookup);
  if (lookup == NULL)
    return UV_ENOMEM;
  snprintf(service, sizeof service, "%d", port);
  int status =
      uv_getaddrinfo(connector->io->prepare.loop, &lookup->request, on_resolved, host, service, &hints);
  if (status != 0) {
    mcp__free(lookup);
    return status;
  }
  lookup->connector = connector;
  lookup->wanted = true;
  connector->lookup = lookup;
  return 0;
}

int mcp__connector_start(mcp__connector_t *connector, const char *host, int port) {
  connector->count = connector->tried = connector->running = 0;
  connector->status = MCP_ECONNECT;
  struct sockaddr_storage *first = &connector->addresses[0];
  if (uv_ip4_addr(host, port, (struct sockaddr_in *)(void *)first) != 0 &&
      uv_ip6_addr(host, port, (struct sockaddr_in6 *)(void *)first) != 0) {
    int status = resolve(connector, host, port);
    if (status != 0)
      snprintf(connector->problem, sizeof connector->problem, "cannot resolve the host name: %s",
               mcp_strerror(status));
    return status != 0 ? MCP_ERESOLVE : 0;
  }
  connector->count = 1;
  return try_address(connector) ? 0 : connector->status;
}

static void abandon_lookup(mcp__connector_t *connector) {
  connector->lookup->connector = NULL;
  connector->lookup->wanted = false;
  connector->lookup = NULL;
}

void mcp__connector_cancel(mcp__connector_t *connector) {
  if (connector->lookup != NULL) {
    connector->lookup->wanted = false;
    if (uv_cancel((uv_req_t *)&connector->lookup->request) == 0)
      abandon_lookup(connector);
  }
  close_others(connector);
  connector->count = connector->tried = 0;
}

void mcp__connector_close(mcp__connector_t *connector) {
  mcp__connector_cancel(connector);
  if (connector->lookup != NULL)
    abandon_lookup(connector);
}
