/* server.c: a server's life: made and set up, listening, stopping.
 *
 * Happy path: mcp_server_new() checks and copies everything that can be wrong about tools and environment;
 * start binds to all addresses and listens; a timer keeps the limits of connections and calls; stop closes
 * the listeners, waits for calls in flight, closes connections with 1012, and then the handles. Failure: what
 * start could not do is undone, and the code says why; a stop takes the shutdown timeout and a second at the
 * most, whatever handlers and peers do. */
#include "server/server.h"

#include "base/error.h"
#include "transport/url.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  BACKLOG = 1024,
  NAME_MAX_BYTES = 256, /* Godot takes no lines of a component with a longer one */
  DEFAULT_MAX_MESSAGE = 16 << 20,
  MIN_MAX_MESSAGE = 1024,
  MAX_MAX_MESSAGE = 200 << 20,
  DEFAULT_CONNECTIONS = 1024,
  MAX_CONNECTIONS = 1000000,
  MAX_RATE = 1000000,
  DEFAULT_CALL_TIMEOUT_MS = 300000,
  DEFAULT_SHUTDOWN_TIMEOUT_MS = 3000,
  DEFAULT_MAX_MEMORY = 1 << 30,
  MIN_MAX_MEMORY = 1 << 20,
  SPARE_DESCRIPTORS = 64,   /* for the loop, the log, a client or two */
  CANCELLED_GRACE_MS = 500, /* for handlers that ask mcp_call_cancelled() to end after the shutdown timeout */
  ENTRY_SIZE = 1024,        /* of a list in the settings, as far as it is shown */
  PORT_TRIES = 16           /* port 0 may pick one that another program has on [::] */
};

static const int64_t MAX_MAX_MEMORY = (int64_t)1 << 40;

/* ---- new and free ---------------------------------------------------------------------------------- */

static int read_token(mcp_server_t *server) {
  const char *token;
  int status = mcp__token_of_environment(&token);
  return status == 0 ? mcp__auth_set(&server->auth, token) : status;
}

static int read_environment(mcp_server_t *server) {
  int64_t message = 0, memory = 0, connections = 0, connects = 0, messages = 0;
  int status = read_token(server);
  if (status == 0)
    status = mcp__certificate_of_environment(&server->certificate);
  if (status != 0)
    return status == UV_ENOMEM ? status : UV_EINVAL; /* the words are in mcp_last_error(), and nowhere yet */
  mcp__set_last_error("a variable of the environment cannot be read; the log says which");
  if (mcp_env_int("ICCM_MAX_MESSAGE_BYTES", DEFAULT_MAX_MESSAGE, MIN_MAX_MESSAGE, MAX_MAX_MESSAGE,
                  &message) != 0 ||
      mcp_env_int("ICCM_MAX_MEMORY_BYTES", DEFAULT_MAX_MEMORY, MIN_MAX_MEMORY, MAX_MAX_MEMORY, &memory) !=
          0 ||
      mcp_env_int("ICCM_MAX_CONNECTIONS", DEFAULT_CONNECTIONS, 1, MAX_CONNECTIONS, &connections) != 0 ||
      mcp_env_int("ICCM_MAX_CONNECTS_PER_SECOND", 0, 0, MAX_RATE, &connects) != 0 ||
      mcp_env_int("ICCM_MAX_MESSAGES_PER_SECOND", 0, 0, MAX_RATE, &messages) != 0 ||
      mcp_env_bool("ICCM_ALLOW_PUBLIC", false, &server->allow_public) != 0 ||
      mcp_env_bool("ICCM_REUSEPORT", false, &server->reuseport) != 0)
    return MCP_EENV;
  server->max_message = (size_t)message;
  server->max_memory = (size_t)memory;
  server->max_connections = (int)connections;
  server->max_messages = (int)messages;
  mcp__set_last_error("out of memory");
  status = mcp_server_set_max_connects_per_second(server, (int)connects);
  if (status == 0)
    status = mcp_server_set_allowed_origins(server, mcp_env_text("ICCM_ALLOWED_ORIGINS", NULL));
  if (status == 0)
    status = mcp_server_set_allowed_hosts(server, mcp_env_text("ICCM_ALLOWED_HOSTS", NULL));
  return status;
}

static int check_urls(const char *name, const char *list) {
  char problem[300];
  mcp__url_t *urls;
  unsigned count;
  int status = mcp__urls_parse(list, &urls, &count, problem, sizeof problem);
  mcp__free(urls);
  if (status == MCP_EURL)
    mcp__set_last_error("%s%s: ws://host:port is needed, or several of these parted by commas", name,
                        problem);
  return status;
}

static int keep_log_url(mcp_server_t *server, const char *url) {
  char *copy = url != NULL ? mcp__strdup(url) : NULL;
  if (url != NULL && copy == NULL)
    return UV_ENOMEM;
  mcp__free(server->log_url);
  server->log_url = copy;
  return 0;
}

static int read_logging(mcp_server_t *server) {
  bool enabled;
  const char *level = mcp_env_text("LOG_LEVEL", "INFO");
  if (mcp_log_level(level) < 0) {
    char shown[MCP_SHOWN_SIZE];
    mcp__set_last_error("LOG_LEVEL is \"%s\": TRACE, DEBUG, INFO, WARN or ERROR is needed",
                        mcp_redact_setting("LOG_LEVEL", level, shown));
    return UV_EINVAL;
  }
  mcp__set_last_error("LOGGING_ENABLED cannot be read; the log says why");
  if (mcp_env_bool("LOGGING_ENABLED", true, &enabled) != 0)
    return MCP_EENV;
  const char *url = mcp_env_text("GODOT_URL", NULL);
  int status = url != NULL ? check_urls("GODOT_URL: ", url) : 0; /* also where it is not wanted */
  return status == 0 && enabled ? keep_log_url(server, url != NULL ? url : "") : status;
}

static int set_up(mcp_server_t *server, const char *name, const char *version, int port,
                  const mcp_tool_t *tools) {
  char problem[512];
  if (name == NULL || *name == '\0' || strlen(name) > NAME_MAX_BYTES || version == NULL || tools == NULL ||
      port < 0 || port > 65535 || !mcp__utf8_valid(name, strlen(name)) ||
      !mcp__utf8_valid(version, strlen(version))) {
    mcp__set_last_error(
        "a server needs a name of 1 to 256 bytes and a version in UTF-8, tools, and a port from 0 to 65535");
    return UV_EINVAL;
  }
  int status = read_environment(server);
  if (status == 0)
    status = read_logging(server);
  if (status != 0)
    return status;
  mcp__set_last_error("out of memory");
  server->name = mcp__strdup(name);
  server->version = mcp__strdup(version);
  if (server->name == NULL || server->version == NULL)
    return UV_ENOMEM;
  status = mcp__tools_init(&server->tools, tools, problem, sizeof problem);
  if (status != 0)
    mcp__set_last_error("%s", problem);
  server->port = port;
  server->call_timeout_ms = DEFAULT_CALL_TIMEOUT_MS;
  server->shutdown_timeout_ms = DEFAULT_SHUTDOWN_TIMEOUT_MS;
  server->identity = (mcp__identity_t){server->name, server->version, &server->tools, NULL};
  return status;
}

static mcp_server_t *new_empty(void) {
  mcp_server_t *server = mcp__calloc(sizeof *server);
  if (server == NULL)
    return NULL;
  if (uv_mutex_init(&server->needs_mutex) == 0) {
    if ((server->metrics = mcp__metrics_new()) != NULL)
      return server;
    uv_mutex_destroy(&server->needs_mutex);
  }
  mcp__free(server);
  return NULL;
}

mcp_server_t *mcp_server_new(const char *name, const char *version, int port, const mcp_tool_t *tools) {
  mcp_env_check();
  mcp_server_t *server = new_empty();
  mcp__set_last_error("out of memory");
  int status = server != NULL ? set_up(server, name, version, port, tools) : UV_ENOMEM;
  if (status == 0)
    return server;
  if (status != MCP_EENV) /* which is logged where it is found */
    mcp_log(MCP_LOG_ERROR, name != NULL ? name : "server", "%s", mcp_last_error());
  mcp_server_free(server);
  return NULL;
}

static void free_needs(mcp__need_t *need) {
  while (need != NULL) {
    mcp__need_t *next = need->next;
    mcp__free(need->name);
    mcp__free(need->reason);
    mcp__free(need);
    need = next;
  }
}

void mcp_server_free(mcp_server_t *server) {
  if (server == NULL)
    return;
  if (server->started) {
    mcp_log(MCP_LOG_ERROR, server->name, "mcp_server_free() before the server was stopped: nothing is freed");
    return;
  }
  mcp__tools_deinit(&server->tools);
  mcp__metrics_release(server->metrics);
  free_needs(server->needs);
  uv_mutex_destroy(&server->needs_mutex);
  mcp__free(server->origins.origins);
  mcp__free(server->origins.hosts);
  mcp__auth_wipe(&server->auth);
  mcp__certificate_deinit(&server->certificate);
  mcp__free(server->rates);
  mcp__free(server->log_url);
  mcp__free(server->notice);
  mcp__free(server->name);
  mcp__free(server->version);
  mcp__free(server);
}

/* ---- settings -------------------------------------------------------------------------------------- */

int mcp_server_set_max_message_bytes(mcp_server_t *server, size_t bytes) {
  if (server->started)
    return MCP_ESTATE;
  if (bytes < MIN_MAX_MESSAGE || bytes > MAX_MAX_MESSAGE)
    return UV_EINVAL;
  server->max_message = bytes;
  return 0;
}

int mcp_server_set_max_memory_bytes(mcp_server_t *server, size_t bytes) {
  if (server->started)
    return MCP_ESTATE;
  if (bytes < MIN_MAX_MEMORY || bytes > (size_t)MAX_MAX_MEMORY)
    return UV_EINVAL;
  server->max_memory = bytes;
  return 0;
}

int mcp_server_set_max_connections(mcp_server_t *server, int connections) {
  if (server->started)
    return MCP_ESTATE;
  if (connections < 1 || connections > MAX_CONNECTIONS)
    return UV_EINVAL;
  server->max_connections = connections;
  return 0;
}

int mcp_server_set_allow_public(mcp_server_t *server, bool allow) {
  if (server->started)
    return MCP_ESTATE;
  server->allow_public = allow;
  return 0;
}

int mcp_server_set_reuseport(mcp_server_t *server, bool reuse) {
  if (server->started)
    return MCP_ESTATE;
  server->reuseport = reuse;
  return 0;
}

static int set_list(mcp_server_t *server, char **own, const char *list) {
  char *copy = NULL;
  if (server->started)
    return MCP_ESTATE;
  if (list != NULL && (copy = mcp__strdup(list)) == NULL)
    return UV_ENOMEM;
  mcp__free(*own);
  *own = copy;
  return 0;
}

int mcp_server_set_allowed_origins(mcp_server_t *server, const char *origins) {
  return set_list(server, &server->origins.origins, origins);
}

int mcp_server_set_allowed_hosts(mcp_server_t *server, const char *hosts) {
  return set_list(server, &server->origins.hosts, hosts);
}

int mcp_server_set_auth_token(mcp_server_t *server, const char *token) {
  return server->started ? MCP_ESTATE : mcp__auth_set(&server->auth, token);
}

int mcp_server_set_tls(mcp_server_t *server, const char *cert_file, const char *key_file) {
  return server->started ? MCP_ESTATE : mcp__certificate_set(&server->certificate, cert_file, key_file);
}

int mcp_server_set_max_connects_per_second(mcp_server_t *server, int connects) {
  if (server->started)
    return MCP_ESTATE;
  if (connects < 0 || connects > MAX_RATE)
    return UV_EINVAL;
  mcp__rates_t *rates = connects > 0 ? mcp__calloc(sizeof *rates) : NULL;
  if (connects > 0 && rates == NULL)
    return UV_ENOMEM;
  mcp__free(server->rates);
  server->rates = rates;
  server->max_connects = connects;
  return 0;
}

int mcp_server_set_max_messages_per_second(mcp_server_t *server, int messages) {
  if (server->started)
    return MCP_ESTATE;
  if (messages < 0 || messages > MAX_RATE)
    return UV_EINVAL;
  server->max_messages = messages;
  return 0;
}

int mcp_server_set_call_timeout_ms(mcp_server_t *server, uint64_t timeout_ms) {
  if (server->started)
    return MCP_ESTATE;
  if (timeout_ms == 0)
    return UV_EINVAL;
  server->call_timeout_ms = timeout_ms;
  return 0;
}

int mcp_server_set_shutdown_timeout_ms(mcp_server_t *server, uint64_t timeout_ms) {
  if (server->started)
    return MCP_ESTATE;
  server->shutdown_timeout_ms = timeout_ms;
  return 0;
}

int mcp_server_set_log_url(mcp_server_t *server, const char *url) {
  int status = server->started ? MCP_ESTATE : url != NULL ? check_urls("", url) : 0;
  return status == 0 ? keep_log_url(server, url) : status;
}

int mcp_server_set_notice(mcp_server_t *server, const char *capability, mcp_notice_cb cb, void *arg) {
  if (server->started || server->notice != NULL)
    return MCP_ESTATE;
  size_t len = strlen(capability);
  if (len == 0 || len > MCP__NOTICE_BYTES || !mcp__utf8_valid(capability, len))
    return UV_EINVAL;
  server->notice = mcp__strdup(capability);
  if (server->notice == NULL)
    return UV_ENOMEM;
  server->identity.notice = server->notice;
  server->notice_cb = cb;
  server->notice_arg = arg;
  return 0;
}

void mcp_server_notice_changed(mcp_server_t *server) {
  for (mcp__conn_t *conn = server->conns; conn != NULL; conn = conn->next)
    mcp__conn_notice_changed(conn);
}

static mcp__need_t *find_need(mcp_server_t *server, const char *name) {
  mcp__need_t *need = server->needs;
  while (need != NULL && strcmp(need->name, name) != 0)
    need = need->next;
  if (need != NULL)
    return need;
  need = mcp__calloc(sizeof *need);
  if (need == NULL)
    return NULL;
  need->name = mcp__strdup(name);
  if (need->name == NULL) {
    mcp__free(need);
    return NULL;
  }
  need->next = server->needs;
  server->needs = need;
  return need;
}

int mcp_server_set_need(mcp_server_t *server, const char *name, const char *reason) {
  char *copy = reason != NULL ? mcp__strdup(reason) : NULL;
  if (reason != NULL && copy == NULL)
    return UV_ENOMEM;
  uv_mutex_lock(&server->needs_mutex);
  mcp__need_t *need = find_need(server, name);
  char *before = copy; /* to be freed: what was there, or what could not be kept */
  if (need != NULL) {
    before = need->reason;
    need->reason = copy;
  }
  uv_mutex_unlock(&server->needs_mutex);
  if (need != NULL &&
      (before == NULL) != (reason == NULL)) /* without the mutex: a hook may do what it wants */
    mcp_log(reason == NULL ? MCP_LOG_INFO : MCP_LOG_WARN, server->name, "%s: %s", name,
            reason == NULL ? "there" : reason);
  mcp__free(before);
  return need != NULL ? 0 : UV_ENOMEM;
}

bool mcp__server_write_needs(mcp_server_t *server, mcp__buf_t *out) {
  bool ready = true;
  uv_mutex_lock(&server->needs_mutex);
  for (mcp__need_t *need = server->needs; need != NULL; need = need->next) {
    if (need->reason != NULL) {
      ready = false;
      mcp__buf_printf(out, "%s: %s\n", need->name, need->reason);
    }
  }
  uv_mutex_unlock(&server->needs_mutex);
  return ready;
}

mcp_metric_t *mcp_server_metric(mcp_server_t *server, int type, const char *name, const char *help,
                                const char *label) {
  const char *problem;
  mcp_metric_t *metric = NULL;
  if (mcp__metrics_add(server->metrics, type, name, help, label, &metric, &problem) == 0)
    return metric;
  mcp__set_last_error("metric %.128s: %s", name != NULL ? name : "without a name", problem);
  mcp_log(MCP_LOG_ERROR, server->name, "%s", mcp_last_error());
  return NULL;
}

mcp_metric_t *mcp_server_counter(mcp_server_t *server, const char *name, const char *help, const char *label,
                                 const char *const *values) {
  mcp_metric_t *metric = mcp_server_metric(server, MCP_COUNTER, name, help, label);
  for (; values != NULL && *values != NULL; values++)
    mcp_metric_add(metric, *values, 0);
  return metric;
}

/* ---- tools that come and go ------------------------------------------------------------------------- */

static void tools_changed(mcp_server_t *server) {
  for (mcp__conn_t *conn = server->conns; conn != NULL; conn = conn->next)
    mcp__conn_tools_changed(conn);
}

static void warn_of_schema(const mcp_server_t *server, const char *tool, const char *member,
                           const mcp__schema_t *schema) {
  const char *notice;
  for (size_t i = 0; schema != NULL && (notice = mcp__schema_notice(schema, i)) != NULL; i++)
    mcp_log(MCP_LOG_WARN, server->name, "tool %s: %s %s", tool, member, notice);
}

static void warn_of_tool(const mcp_server_t *server, const mcp__tool_t *tool) {
  warn_of_schema(server, tool->name, "input_schema", tool->schema);
  warn_of_schema(server, tool->name, "output_schema", tool->output);
}

static int make_pool(mcp_server_t *server) { /* start has made one where there was a tool for it */
  if (!server->started || server->pool != NULL)
    return 0;
  server->pool = mcp__pool_new(server->loop, &mcp__call_pool_events, server);
  return server->pool != NULL ? 0 : UV_ENOMEM;
}

int mcp_server_add_tool(mcp_server_t *server, const mcp_tool_t *tool) {
  char problem[512] = "out of memory";
  if (server->stopping)
    return MCP_ESTATE;
  if (tool->name == NULL)
    return UV_EINVAL;
  int status = (tool->flags & MCP_TOOL_BLOCKING) != 0 ? make_pool(server) : 0;
  if (status == 0)
    status = mcp__tools_add(&server->tools, tool, problem, sizeof problem);
  if (status != 0) {
    mcp_log(MCP_LOG_ERROR, server->name, "%s", problem);
    return status;
  }
  if (server->started) /* else when it starts */
    warn_of_tool(server, mcp__tools_find(&server->tools, tool->name, strlen(tool->name)));
  tools_changed(server);
  return 0;
}

int mcp_server_remove_tool(mcp_server_t *server, const char *name) {
  int status = server->stopping ? MCP_ESTATE : mcp__tools_remove(&server->tools, name);
  if (status == 0)
    tools_changed(server);
  return status;
}

int mcp_server_port(const mcp_server_t *server) {
  return server->port;
}

/* ---- start ----------------------------------------------------------------------------------------- */

static void on_listener_closed(uv_handle_t *handle) {
  mcp__free(handle);
}

static void close_listeners(mcp_server_t *server) {
  for (int i = 0; i < 2; i++) {
    if (server->listeners[i] != NULL)
      uv_close((uv_handle_t *)server->listeners[i], on_listener_closed);
    server->listeners[i] = NULL;
  }
}

static void on_connection(uv_stream_t *listener, int status) {
  mcp_server_t *server = listener->data;
  if (status == 0)
    status = mcp__conn_accept(server, listener);
  if (status == 0)
    return;
  /* Without a descriptor libuv would ask the kernel again before anything else, for ever, and nothing could
   * give one back; and as long as it holds a connection that was not taken it asks for no other. */
  mcp_log(MCP_LOG_ERROR, server->name, "accepting a connection: %s; not listening for a moment",
          mcp_strerror(status));
  close_listeners(server);
  server->deaf = true;
}

/* Lets other servers that want it, too, and are the same user's listen on this port. */
static int share_port(uv_tcp_t *tcp) {
  uv_os_fd_t fd;
  int on = 1, status = uv_fileno((uv_handle_t *)tcp, &fd);
  if (status != 0)
    return status;
  return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 ? 0 : uv_translate_sys_error(errno);
}

static int listen_on(mcp_server_t *server, int which, const struct sockaddr *address, unsigned flags) {
  uv_tcp_t *tcp = mcp__malloc(sizeof *tcp);
  if (tcp == NULL)
    return UV_ENOMEM;
  int status = uv_tcp_init_ex(server->loop, tcp, address->sa_family); /* with a socket already */
  if (status != 0) {
    mcp__free(tcp);
    return status;
  }
  server->listeners[which] = tcp;
  tcp->data = server;
  if (server->reuseport)
    status = share_port(tcp);
  if (status == 0)
    status = uv_tcp_bind(tcp, address, flags);
  return status == 0 ? uv_listen((uv_stream_t *)tcp, BACKLOG, on_connection) : status;
}

static bool means_no_ipv6(int status) {
  return status == UV_EAFNOSUPPORT || status == UV_EADDRNOTAVAIL || status == UV_EPROTONOSUPPORT;
}

static int find_bound(uv_tcp_t *tcp, int *port) {
  struct sockaddr_storage address;
  int len = sizeof address;
  int status = uv_tcp_getsockname(tcp, (struct sockaddr *)&address, &len);
  if (status == 0)
    *port = ntohs(((struct sockaddr_in *)(void *)&address)->sin_port);
  return status;
}

/* 0.0.0.0 first, then [::] on the same port: localhost means ::1 in many containers. */
static int listen_everywhere(mcp_server_t *server, int port, int *bound) {
  struct sockaddr_in four;
  struct sockaddr_in6 six;
  uv_ip4_addr("0.0.0.0", port, &four);
  int status = listen_on(server, 0, (struct sockaddr *)&four, 0);
  if (status == 0)
    status = find_bound(server->listeners[0], bound);
  if (status == 0) {
    uv_ip6_addr("::", *bound, &six);
    status = listen_on(server, 1, (struct sockaddr *)&six, UV_TCP_IPV6ONLY);
    if (means_no_ipv6(status)) {
      if (server->listeners[1] != NULL)
        uv_close((uv_handle_t *)server->listeners[1], on_listener_closed);
      server->listeners[1] = NULL;
      status = 0;
    }
  }
  if (status != 0)
    close_listeners(server);
  return status;
}

static int find_port(mcp_server_t *server) {
  int bound = server->port, status = UV_EADDRINUSE;
  if (server->port == 0)
    server->reuseport = false; /* whoever shares a port has to know it before */
  for (int tries = server->port == 0 ? PORT_TRIES : 1; status == UV_EADDRINUSE && tries > 0; tries--)
    status = listen_everywhere(server, server->port, &bound);
  if (status == 0)
    server->port = bound;
  return status;
}

static void fit_descriptors(mcp_server_t *server) {
  struct rlimit limit;
  rlim_t wanted = (rlim_t)server->max_connections + MCP__MAX_LEAVING + SPARE_DESCRIPTORS;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
    return;
  limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
    getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= wanted)
    return;
  rlim_t taken = MCP__MAX_LEAVING + SPARE_DESCRIPTORS;
  server->max_connections = limit.rlim_cur > taken ? (int)(limit.rlim_cur - taken) : 1;
  mcp_log(MCP_LOG_WARN, server->name, "only %llu descriptors are allowed (ulimit -n): at most %d connections",
          (unsigned long long)limit.rlim_cur, server->max_connections);
}

/* Of a list in the settings, what a typing error makes useless. */
static void warn_of_entries(const mcp_server_t *server, const char *list, const char *variable,
                            bool (*can_be)(const char *entry, size_t len), const char *needed) {
  size_t len;
  for (const char *entry; (entry = mcp__origins_next(&list, &len)) != NULL;) {
    char text[ENTRY_SIZE], shown[MCP_SHOWN_SIZE];
    snprintf(text, sizeof text, "%.*s", (int)(len < sizeof text ? len : sizeof text - 1), entry);
    if (!can_be(entry, len))
      mcp_log(MCP_LOG_WARN, server->name, "%s: \"%s\" is never sent: %s is needed", variable,
              mcp_redact_setting(variable, text, shown), needed);
  }
}

static void check_stop(mcp_server_t *server);
static void on_tick(uv_timer_t *timer);

/* All calls that are older than age_ms, or where that is 0 all. Those that handlers never end stay in the
 * list. */
static void time_out_calls(mcp_server_t *server, uint64_t age_ms, const char *why) {
  uint64_t now_ms = uv_now(server->loop);
  server->next_call = server->oldest;
  for (mcp_call_t *call; (call = server->next_call) != NULL;) {
    if (age_ms > 0 && now_ms - call->started_ms <= age_ms)
      return;
    server->next_call = call->newer;
    if (call->conn != NULL || call->on_cancel != NULL) /* or that was given late */
      mcp__call_time_out(call, why);
  }
}

static void listen_again(mcp_server_t *server) {
  int port;
  if (listen_everywhere(server, server->port, &port) != 0)
    return;
  server->deaf = false;
  mcp_log(MCP_LOG_INFO, server->name, "listening again on port %d", port);
}

/* Connections without a call in flight are closed once the loop has turned twice since the stop: requests
 * that had arrived by then have been read and get an answer. */
static void settle_stop(mcp_server_t *server) {
  server->settled = ++server->stop_ticks > 1;
  uv_timer_start(&server->tick, on_tick, server->settled ? MCP__TICK_MS : MCP__STOP_TICK_MS, MCP__TICK_MS);
}

static void on_tick(uv_timer_t *timer) {
  mcp_server_t *server = timer->data;
  uint64_t now_ms = uv_now(server->loop);
  if (server->deaf && !server->stopping)
    listen_again(server);
  if (now_ms - server->second_ms >= MCP__RATE_MS) {
    server->second_ms = now_ms;
    server->second++;
  }
  time_out_calls(server, server->call_timeout_ms, "timed out");
  for (mcp__conn_t *conn = server->conns, *next; conn != NULL; conn = next) {
    next = conn->next;
    mcp__conn_tick(conn, now_ms);
  }
  if (server->stopping && !server->settled)
    settle_stop(server);
  mcp__event_sums(server, now_ms);
  check_stop(server);
}

void mcp__server_tick_soon(mcp_server_t *server) {
  if (!server->stopping && uv_timer_get_due_in(&server->tick) > 1)
    uv_timer_start(&server->tick, on_tick, 1, MCP__TICK_MS);
}

static void ignore_pool_closed(void *arg) {
  (void)arg;
}

static void open_handles(mcp_server_t *server) {
  server->tick.data = server->late_cancels.data = server->progress.data = server->io.prepare.data = server;
  uv_timer_init(server->loop, &server->tick);
  uv_timer_init(server->loop, &server->late_cancels);
  uv_timer_init(server->loop, &server->progress);
  mcp__relay_open(&server->relay, server->loop);
  uv_timer_start(&server->tick, on_tick, MCP__TICK_MS, MCP__TICK_MS);
  size_t least = (1 + MCP__PARSE_MEMORY) * server->max_message; /* what one message may need */
  server->memory = (mcp__budget_t){.max = server->max_memory > least ? server->max_memory : least};
  server->left_behind = server->deaf = false;
  server->started = true;
}

int mcp_server_start(mcp_server_t *server, struct uv_loop_s *loop) {
  if (server->started)
    return MCP_ESTATE;
  signal(SIGPIPE, SIG_IGN); /* a write after a reset must not end the process */
  server->loop = loop;
  int status = find_port(server);
  if (status == 0 && mcp__tools_any_blocking(&server->tools)) {
    server->pool = mcp__pool_new(loop, &mcp__call_pool_events, server);
    status = server->pool != NULL ? 0 : UV_ENOMEM;
  }
  if (status == 0)
    status = mcp__io_init(&server->io, loop);
  if (status != 0) {
    mcp_log(MCP_LOG_ERROR, server->name, "cannot listen on port %d: %s", server->port, mcp_strerror(status));
    close_listeners(server);
    if (server->pool != NULL)
      mcp__pool_close(server->pool, ignore_pool_closed, NULL);
    server->pool = NULL;
    return status;
  }
  fit_descriptors(server);
  warn_of_entries(server, server->origins.origins, "ICCM_ALLOWED_ORIGINS", mcp__origins_can_be,
                  "scheme://host:port, without a path,");
  warn_of_entries(server, server->origins.hosts, "ICCM_ALLOWED_HOSTS", mcp__origins_can_be_host,
                  "a host's name");
  open_handles(server);
  mcp__certificate_watch(&server->certificate, loop, server->name);
  server->logger = mcp__logger_new(loop, server->name, server->version, server->log_url);
  if (server->logger == NULL)
    mcp_log(MCP_LOG_WARN, server->name, "no memory or thread for log shipping: lines go to stderr alone");
  for (size_t i = 0; i < server->tools.count; i++)
    warn_of_tool(server, server->tools.table[i]);
  mcp__event_running(server);
  return 0;
}

/* ---- stop ------------------------------------------------------------------------------------------ */

static void free_spare_calls(mcp_server_t *server) {
  while (server->spare != NULL) {
    mcp_call_t *call = server->spare;
    server->spare = call->next;
    mcp__call_free(call);
  }
  server->spare_count = server->spare_bytes = 0;
}

static void on_logger_stopped(void *arg) {
  mcp_server_t *server = arg;
  server->started = server->stopping = server->closing = false;
  server->logger = NULL;
  if (server->on_stopped != NULL)
    server->on_stopped(server, server->on_stopped_arg);
}

/* The log goes last, with the last word. */
static void one_closed(mcp_server_t *server) {
  if (--server->open_handles > 0)
    return;
  mcp__io_deinit(&server->io);
  free_spare_calls(server);
  server->pool = NULL;
  mcp__event_sums(server, UINT64_MAX);
  mcp__event_server(server, "Server stopped");
  if (server->logger != NULL)
    mcp__logger_stop(server->logger, server->shutdown_timeout_ms, on_logger_stopped, server);
  else
    on_logger_stopped(server);
}

static void on_handle_closed(uv_handle_t *handle) {
  one_closed(handle->data);
}

static void on_part_closed(void *arg) {
  one_closed(arg);
}

static void close_handles(mcp_server_t *server) {
  server->closing = true;
  while (server->oldest != NULL) {
    server->left_behind |= server->oldest->parent.on_pool;
    mcp__call_detach(server->oldest);
  }
  server->open_handles = 5 + server->certificate.watched + (server->pool != NULL);
  server->certificate.hangup.data = server;
  mcp__certificate_unwatch(&server->certificate, on_handle_closed);
  uv_close((uv_handle_t *)&server->tick, on_handle_closed);
  uv_close((uv_handle_t *)&server->late_cancels, on_handle_closed);
  uv_close((uv_handle_t *)&server->progress, on_handle_closed);
  mcp__io_close(&server->io, on_handle_closed);
  mcp__relay_close(&server->relay, on_part_closed, server); /* before the pool: what comes then is refused */
  if (server->pool != NULL)
    mcp__pool_close(server->pool, on_part_closed, server);
}

static void stop_conns(mcp_server_t *server, bool at_once) {
  for (mcp__conn_t *conn = server->conns, *next; conn != NULL; conn = next) {
    next = conn->next;
    mcp__conn_stop(conn, at_once);
  }
}

static void check_stop(mcp_server_t *server) {
  if (!server->stopping || server->closing)
    return;
  uint64_t waited_ms = uv_now(server->loop) - server->stop_ms;
  bool patience_over = waited_ms >= server->shutdown_timeout_ms;
  if (patience_over) {
    time_out_calls(server, 0, "the server is stopping");
    mcp__relay_stop(&server->relay);
  }
  if (patience_over || server->settled)
    stop_conns(server, patience_over);
  if (server->conns == NULL &&
      (server->oldest == NULL || waited_ms >= server->shutdown_timeout_ms + CANCELLED_GRACE_MS))
    close_handles(server);
}

void mcp__server_conn_gone(mcp_server_t *server, mcp__conn_t *conn) {
  *(conn->prev != NULL ? &conn->prev->next : &server->conns) = conn->next;
  if (conn->next != NULL)
    conn->next->prev = conn->prev;
  if (conn->counted)
    server->connections--;
  if (server->stopping && server->conns == NULL)
    check_stop(server);
}

void mcp__server_call_ended(mcp_server_t *server) {
  if (server->stopping && server->oldest == NULL)
    check_stop(server);
}

int mcp_server_stop(mcp_server_t *server, mcp_server_cb cb, void *arg) {
  if (!server->started || server->stopping)
    return MCP_ESTATE;
  mcp__event_server(server, "Server stopping");
  server->stopping = true;
  server->stop_ms = uv_now(server->loop);
  server->on_stopped = cb;
  server->on_stopped_arg = arg;
  close_listeners(server);
  server->settled = false;
  server->stop_ticks = 0;
  uv_timer_start(&server->tick, on_tick, MCP__STOP_TICK_MS, MCP__TICK_MS);
  check_stop(server);
  return 0;
}

/* ---- run ------------------------------------------------------------------------------------------- */

typedef struct signals {
  uv_signal_t handles[2];
  void (*on_stop)(void *arg);
  void *arg;
  bool stopping;
} signals_t;

static void on_signal(uv_signal_t *handle, int number) {
  signals_t *signals = handle->data;
  if (signals->stopping)
    _exit(128 + number);
  signals->stopping = true;
  signals->on_stop(signals->arg);
}

int mcp_loop_run(struct uv_loop_s *loop, void (*on_stop)(void *arg), void *arg) {
  static const int numbers[2] = {SIGTERM, SIGINT};
  signals_t signals = {.on_stop = on_stop, .arg = arg};
  int status = 0;
  for (int i = 0; i < 2; i++) {
    int failed = uv_signal_init(loop, &signals.handles[i]);
    if (failed == 0) {
      signals.handles[i].data = &signals;
      failed = uv_signal_start(&signals.handles[i], on_signal, numbers[i]);
      uv_unref((uv_handle_t *)&signals.handles[i]);
    }
    if (failed != 0)
      status = failed;
  }
  if (status != 0) { /* UNTESTED: libuv's pipe for signals is there since the loop was made */
    mcp_log(MCP_LOG_ERROR, "loop", "no signal could end it: %s", mcp_strerror(status));
    on_stop(arg);
  }
  uv_run(loop, UV_RUN_DEFAULT);
  for (int i = 0; i < 2; i++)
    if (signals.handles[i].type == UV_SIGNAL)
      uv_close((uv_handle_t *)&signals.handles[i], NULL);
  uv_run(loop, UV_RUN_DEFAULT); /* what is closed is gone before its memory is */
  return status;
}

static void stop_server(void *arg) {
  mcp_server_stop(arg, NULL, NULL);
}

int mcp_server_run(mcp_server_t *server) {
  uv_loop_t loop;
  int status = uv_loop_init(&loop);
  if (status != 0) {
    mcp_log(MCP_LOG_ERROR, server->name, "cannot run: %s", mcp_strerror(status));
    return status;
  }
  status = mcp_server_start(server, &loop);
  if (status == 0)
    status = mcp_loop_run(&loop, stop_server, server);
  else
    uv_run(&loop, UV_RUN_DEFAULT); /* closes what start had opened */
  uv_loop_close(&loop);
  return status == 0 && server->left_behind ? MCP_ETIMEOUT : status;
}
