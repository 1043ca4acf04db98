/* listener.c: listens on all addresses of one port.
 *
 * Happy path: both sockets listen, and each connection is passed on. Failure: sockets opened so far are
 * closed. If no descriptor is free for a new connection, libuv would retry accept before all other events, so
 * that no descriptor could be freed; and while it holds an unaccepted connection, it accepts no other.
 * Therefore the sockets are closed, and opened again later. */
#include "server/listener.h"

#include <errno.h>
#include <sys/socket.h>

enum { BACKLOG = 1024, PORT_TRIES = 16 /* port 0 may pick a port that another program uses on [::] */ };

static void on_socket_closed(uv_handle_t *handle) {
  mcp__free(handle);
}

static void close_socket(mcp__listener_t *listener, int which) {
  if (listener->sockets[which] != NULL)
    uv_close((uv_handle_t *)listener->sockets[which], on_socket_closed);
  listener->sockets[which] = NULL;
}

void mcp__listener_close(mcp__listener_t *listener) {
  close_socket(listener, 0);
  close_socket(listener, 1);
}

static void on_connection(uv_stream_t *socket, int status) {
  mcp__listener_t *listener = socket->data;
  if (status == 0)
    status = listener->on_connection(socket, listener->arg);
  if (status == 0)
    return;
  mcp_log(MCP_LOG_ERROR, listener->component, "cannot accept a connection: %s; pausing",
          mcp_strerror(status));
  mcp__listener_close(listener);
  listener->paused = true;
}

/* Lets other servers of the same user listen on this port. */
static int share_port(uv_tcp_t *tcp) {
  uv_os_fd_t fd;
  int on = 1, status = uv_fileno((uv_handle_t *)tcp, &fd);
  if (status != 0)
    return status;
  return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 ? 0 : uv_translate_sys_error(errno);
}

static int listen_on(mcp__listener_t *listener, int which, const struct sockaddr *address, unsigned flags) {
  uv_tcp_t *tcp = mcp__malloc(sizeof *tcp);
  if (tcp == NULL)
    return UV_ENOMEM;
  int status = uv_tcp_init_ex(listener->loop, tcp, address->sa_family); /* creates the socket at once */
  if (status != 0) {
    mcp__free(tcp);
    return status;
  }
  listener->sockets[which] = tcp;
  tcp->data = listener;
  if (listener->reuseport)
    status = share_port(tcp);
  if (status == 0)
    status = uv_tcp_bind(tcp, address, flags);
  return status == 0 ? uv_listen((uv_stream_t *)tcp, BACKLOG, on_connection) : status;
}

static bool is_ipv6_unavailable(int status) {
  return status == UV_EAFNOSUPPORT || status == UV_EADDRNOTAVAIL || status == UV_EPROTONOSUPPORT;
}

static int get_bound_port(uv_tcp_t *tcp, int *port) {
  struct sockaddr_storage address;
  int len = sizeof address;
  int status = uv_tcp_getsockname(tcp, (struct sockaddr *)&address, &len);
  if (status == 0)
    *port = ntohs(((struct sockaddr_in *)(void *)&address)->sin_port);
  return status;
}

/* 0.0.0.0 first, then [::] on the same port: localhost is ::1 in many containers. */
static int listen_on_all(mcp__listener_t *listener, int port, int *bound) {
  struct sockaddr_in ipv4;
  struct sockaddr_in6 ipv6;
  uv_ip4_addr("0.0.0.0", port, &ipv4);
  int status = listen_on(listener, 0, (struct sockaddr *)&ipv4, 0);
  if (status == 0)
    status = get_bound_port(listener->sockets[0], bound);
  if (status == 0) {
    uv_ip6_addr("::", *bound, &ipv6);
    status = listen_on(listener, 1, (struct sockaddr *)&ipv6, UV_TCP_IPV6ONLY);
    if (is_ipv6_unavailable(status)) {
      close_socket(listener, 1);
      status = 0;
    }
  }
  if (status != 0)
    mcp__listener_close(listener);
  return status;
}

int mcp__listener_open(mcp__listener_t *listener, int *port) {
  int bound = *port, status = UV_EADDRINUSE;
  listener->paused = false;
  if (*port == 0)
    listener->reuseport = false; /* a shared port has to be fixed */
  for (int tries = *port == 0 ? PORT_TRIES : 1; status == UV_EADDRINUSE && tries > 0; tries--)
    status = listen_on_all(listener, *port, &bound);
  if (status == 0)
    *port = bound;
  return status;
}

bool mcp__listener_resume(mcp__listener_t *listener, int port) {
  int bound;
  if (listener->paused && listen_on_all(listener, port, &bound) == 0)
    listener->paused = false;
  return !listener->paused;
}
