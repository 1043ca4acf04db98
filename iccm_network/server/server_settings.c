/* server_settings.c: settings of a server from the environment, and by functions before the start.
 *
 * Failure: an invalid value changes nothing, and its error code is returned. */
#include "server/server.h"

#include "base/error.h"
#include "base/settings.h"
#include "base/utf8.h"
#include "transport/url.h"
#include "iccm_service.h"

#include <string.h>

enum {
  DEFAULT_MAX_MESSAGE = 16 << 20,
  MIN_MAX_MESSAGE = 1024,
  MAX_MAX_MESSAGE = 200 << 20,
  DEFAULT_CONNECTIONS = 1024,
  MAX_CONNECTIONS = 1000000,
  MAX_RATE = 1000000,
  DEFAULT_MAX_MEMORY = 1 << 30,
  MIN_MAX_MEMORY = 1 << 20
};

static const int64_t MAX_MAX_MEMORY = (int64_t)1 << 40;

static int read_token(mcp_server_t *server) {
  const char *token;
  int status = mcp__token_from_environment(&token);
  return status == 0 ? mcp__auth_set(&server->conns.auth, token) : status;
}

static void take_defaults(mcp_server_t *server) {
  server->max_message = DEFAULT_MAX_MESSAGE;
  server->max_memory = DEFAULT_MAX_MEMORY;
  server->conns.max_connections = DEFAULT_CONNECTIONS;
}

static int read_limits(mcp_server_t *server) {
  int64_t message = 0, memory = 0, connections = 0, connects = 0, messages = 0;
  int status = read_token(server);
  if (status == 0)
    status = mcp__certificate_from_environment(&server->conns.certificate);
  if (status != 0)
    return status == UV_ENOMEM ? status
                               : UV_EINVAL; /* mcp_last_error() holds the message, which is not logged yet */
  mcp__set_last_error("invalid environment variable; see the log");
  if (mcp_env_int("ICCM_MAX_MESSAGE_BYTES", (int64_t)server->max_message, MIN_MAX_MESSAGE, MAX_MAX_MESSAGE,
                  &message) != 0 ||
      mcp_env_int("ICCM_MAX_MEMORY_BYTES", (int64_t)server->max_memory, MIN_MAX_MEMORY, MAX_MAX_MEMORY,
                  &memory) != 0 ||
      mcp_env_int("ICCM_MAX_CONNECTIONS", server->conns.max_connections, 1, MAX_CONNECTIONS, &connections) !=
          0 ||
      mcp_env_int("ICCM_MAX_CONNECTS_PER_SECOND", 0, 0, MAX_RATE, &connects) != 0 ||
      mcp_env_int("ICCM_MAX_MESSAGES_PER_SECOND", 0, 0, MAX_RATE, &messages) != 0 ||
      mcp_env_bool("ICCM_ALLOW_PUBLIC", false, &server->conns.allow_public) != 0 ||
      mcp_env_bool("ICCM_REUSEPORT", false, &server->listener.reuseport) != 0)
    return MCP_EENV;
  server->max_message = (size_t)message;
  server->max_memory = (size_t)memory;
  server->conns.max_connections = (int)connections;
  server->conns.max_messages = (int)messages;
  mcp__set_last_error("out of memory");
  status = mcp_server_set_max_connects_per_second(server, (int)connects);
  if (status == 0)
    status = mcp_server_set_allowed_origins(server, mcp_env_text("ICCM_ALLOWED_ORIGINS", NULL));
  if (status == 0)
    status = mcp_server_set_allowed_hosts(server, mcp_env_text("ICCM_ALLOWED_HOSTS", NULL));
  return status;
}

static int read_transport(mcp_server_t *server) {
  char shown[MCP_SHOWN_SIZE];
  const char *name = mcp_env_text("ICCM_TRANSPORT", "port");
  server->stdio_enabled = strcmp(name, "stdio") == 0;
  if (server->stdio_enabled || strcmp(name, "port") == 0)
    return 0;
  mcp__set_last_error("invalid ICCM_TRANSPORT \"%s\": expected stdio or port",
                      mcp_redact_setting("ICCM_TRANSPORT", name, shown));
  return UV_EINVAL;
}

static int check_urls(const char *name, const char *list) {
  char problem[300];
  mcp__url_t *urls;
  unsigned count;
  int status = mcp__urls_parse(list, &urls, &count, problem, sizeof problem);
  mcp__free(urls);
  if (status == MCP_EURL)
    mcp__set_last_error("%s%s: expected ws://host:port, or several separated by commas", name, problem);
  return status;
}

static int set_log_url(mcp_server_t *server, const char *url) {
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
  if (mcp_log_level_parse(level) < 0) {
    char shown[MCP_SHOWN_SIZE];
    mcp__set_last_error("invalid LOG_LEVEL \"%s\": expected TRACE, DEBUG, INFO, WARN or ERROR",
                        mcp_redact_setting("LOG_LEVEL", level, shown));
    return UV_EINVAL;
  }
  mcp__set_last_error("invalid LOGGING_ENABLED; see the log");
  if (mcp_env_bool("LOGGING_ENABLED", true, &enabled) != 0)
    return MCP_EENV;
  const char *url = mcp_env_text("GODOT_URL", NULL);
  int status = url != NULL ? check_urls("GODOT_URL: ", url) : 0; /* checked even if logging is disabled */
  return status == 0 && enabled ? set_log_url(server, url != NULL ? url : "") : status;
}

int mcp__server_read_environment(mcp_server_t *server) {
  take_defaults(server);
  if (!mcp__settings_enabled())
    return 0;
  int status = read_transport(server);
  if (status == 0)
    status = read_limits(server);
  return status == 0 ? read_logging(server) : status;
}

void mcp__server_free_settings(mcp_server_t *server) {
  mcp__free(server->conns.origins.origins);
  mcp__free(server->conns.origins.hosts);
  mcp__auth_wipe(&server->conns.auth);
  mcp__certificate_deinit(&server->conns.certificate);
  mcp__free(server->conns.connect_rate);
  mcp__free(server->log_url);
  mcp__free(server->capability);
}

int mcp_server_set_max_message_bytes(mcp_server_t *server, size_t bytes) {
  if (mcp__server_is_started(server))
    return MCP_ESTATE;
  if (bytes < MIN_MAX_MESSAGE || bytes > MAX_MAX_MESSAGE)
    return UV_EINVAL;
  server->max_message = bytes;
  return 0;
}

int mcp_server_set_max_memory_bytes(mcp_server_t *server, size_t bytes) {
  if (mcp__server_is_started(server))
    return MCP_ESTATE;
  if (bytes < MIN_MAX_MEMORY || bytes > (size_t)MAX_MAX_MEMORY)
    return UV_EINVAL;
  server->max_memory = bytes;
  return 0;
}

int mcp_server_set_max_connections(mcp_server_t *server, int connections) {
  if (mcp__server_is_started(server))
    return MCP_ESTATE;
  if (connections < 1 || connections > MAX_CONNECTIONS)
    return UV_EINVAL;
  server->conns.max_connections = connections;
  return 0;
}

int mcp_server_set_allow_public(mcp_server_t *server, bool allow) {
  if (mcp__server_is_started(server))
    return MCP_ESTATE;
  server->conns.allow_public = allow;
  return 0;
}

int mcp_server_set_reuseport(mcp_server_t *server, bool reuse) {
  if (mcp__server_is_started(server))
    return MCP_ESTATE;
  server->listener.reuseport = reuse;
  return 0;
}

static int set_list(mcp_server_t *server, char **setting, const char *list) {
  char *copy = NULL;
  if (mcp__server_is_started(server))
    return MCP_ESTATE;
  if (list != NULL && (copy = mcp__strdup(list)) == NULL)
    return UV_ENOMEM;
  mcp__free(*setting);
  *setting = copy;
  return 0;
}

int mcp_server_set_allowed_origins(mcp_server_t *server, const char *origins) {
  return set_list(server, &server->conns.origins.origins, origins);
}

int mcp_server_set_allowed_hosts(mcp_server_t *server, const char *hosts) {
  return set_list(server, &server->conns.origins.hosts, hosts);
}

int mcp_server_set_auth_token(mcp_server_t *server, const char *token) {
  return mcp__server_is_started(server) ? MCP_ESTATE : mcp__auth_set(&server->conns.auth, token);
}

int mcp_server_set_tls(mcp_server_t *server, const char *cert_file, const char *key_file) {
  return mcp__server_is_started(server)
             ? MCP_ESTATE
             : mcp__certificate_set(&server->conns.certificate, cert_file, key_file);
}

int mcp_server_set_max_connects_per_second(mcp_server_t *server, int connects) {
  if (mcp__server_is_started(server))
    return MCP_ESTATE;
  if (connects < 0 || connects > MAX_RATE)
    return UV_EINVAL;
  mcp__rate_limit_t *rate = connects > 0 ? mcp__calloc(sizeof *rate) : NULL;
  if (connects > 0 && rate == NULL)
    return UV_ENOMEM;
  mcp__free(server->conns.connect_rate);
  server->conns.connect_rate = rate;
  server->conns.max_connects = connects;
  return 0;
}

int mcp_server_set_max_messages_per_second(mcp_server_t *server, int messages) {
  if (mcp__server_is_started(server))
    return MCP_ESTATE;
  if (messages < 0 || messages > MAX_RATE)
    return UV_EINVAL;
  server->conns.max_messages = messages;
  return 0;
}

int mcp_server_set_call_timeout_ms(mcp_server_t *server, uint64_t timeout_ms) {
  if (mcp__server_is_started(server))
    return MCP_ESTATE;
  if (timeout_ms == 0)
    return UV_EINVAL;
  server->call_timeout_ms = timeout_ms;
  return 0;
}

int mcp_server_set_shutdown_timeout_ms(mcp_server_t *server, uint64_t timeout_ms) {
  if (server->state >= MCP__SERVER_STOPPING)
    return MCP_ESTATE;
  server->shutdown_timeout_ms = timeout_ms;
  return 0;
}

int mcp_server_set_log_url(mcp_server_t *server, const char *url) {
  int status = mcp__server_is_started(server) ? MCP_ESTATE : url != NULL ? check_urls("", url) : 0;
  return status == 0 ? set_log_url(server, url) : status;
}

int mcp_server_add_timer(mcp_server_t *server, uint64_t interval_ms, mcp_server_cb cb, void *arg) {
  return mcp__server_is_started(server) ? MCP_ESTATE
                                        : mcp__timers_add(&server->timers, server, interval_ms, cb, arg);
}

int mcp_server_set_experimental_capability(mcp_server_t *server, const char *capability, mcp_capability_cb cb,
                                           void *arg) {
  if (mcp__server_is_started(server) || server->capability != NULL)
    return MCP_ESTATE;
  size_t len = strlen(capability);
  if (len == 0 || len > MCP__SESSION_CAPABILITY_BYTES || !mcp__utf8_valid(capability, len))
    return UV_EINVAL;
  server->capability = mcp__strdup(capability);
  if (server->capability == NULL)
    return UV_ENOMEM;
  server->service.server_info.experimental_capability = server->capability;
  server->service.capability_cb = cb;
  server->service.capability_arg = arg;
  return 0;
}
