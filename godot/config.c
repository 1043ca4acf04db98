/* config.c: settings from the environment, with their defaults and bounds.
 *
 * Happy path: unset variables take their defaults. Failure modes: a value that cannot be read or is out of
 * bounds is named in one log line, and the program ends.
 */
#include "config.h"

#include <iccm_network.h>
#include <iccm_service.h>
#include <string.h>

#define MIB (INT64_C(1024) * 1024)

#define SETTINGS                                                                                             \
  "Settings come from the environment:\n"                                                                    \
  "  MCP_PORT                9060                  the port to serve (server)\n"                             \
  "  ICCM_MAX_MESSAGE_BYTES  209715200             the largest message (server)\n"                           \
  "  REDIS_HOST, REDIS_PORT  localhost, 6379       the queue\n"                                              \
  "  LOG_QUEUE_NAME          logs:queue            its list in Redis\n"                                      \
  "  MAX_QUEUE_SIZE          100000                entries held while the log store is away\n"               \
  "  GODOT_QUEUE_MAX_BYTES   1073741824            the same in bytes\n"                                      \
  "  DEWEY_MCP_URL           ws://localhost:9020   the log store\n"                                          \
  "  GODOT_IMPORT_PATHS      none                  directories that messages_file may name files in: /a:/b " \
  "(server)\n"                                                                                               \
  "  DEWEY_CONNECT_TIMEOUT   30                    seconds for one batch (worker)\n"                         \
  "  GODOT_WORKER_NAME       worker-1              differs between workers of one queue (worker)\n"          \
  "  BATCH_SIZE              100                   entries in a batch (worker)\n"                            \
  "  GODOT_BATCHES_IN_FLIGHT 4                     sent at the same time, 1 to 16 (worker)\n"                \
  "  BATCH_TIMEOUT_MS        100                   after which a smaller one is sent (worker)\n"             \
  "  GODOT_SPOOL_MAX_BYTES   0                     kept on disk while the queue is full; 0: nothing "        \
  "(worker)\n"                                                                                               \
  "  GODOT_SPOOL_DIR         spool in ICCM_DATA    where (worker)\n"                                         \
  "  RETRY_MAX_ATTEMPTS      5                     quick retries, before the slow ones (worker)\n"           \
  "  RETRY_INITIAL_DELAY     1                     seconds, doubling (worker)\n"                             \
  "  RETRY_MAX_DELAY         30                    seconds (worker)\n"                                       \
  "  LOG_LEVEL               INFO                  what is written to stderr\n"                              \
  "Seconds may have a fraction: 0.5.\n"

const char config_server_help[] = "usage: godot-server [--help] [--version]\n\n"
                                  "Takes log entries into the queue, and answers queries.\n\n" SETTINGS;

const char config_worker_help[] =
    "usage: godot-worker [--help] [--version]\n\n"
    "Moves log entries from Redis to the log store; `iccm dead` is for those it refuses.\n\n" SETTINGS;

static int read_int(const char *name, int64_t fallback, int64_t min, int64_t max, int *out) {
  int64_t value;
  int status = mcp_env_int(name, fallback, min, max, &value);
  if (status == 0)
    *out = (int)value;
  return status;
}

/* "1", "0.5", "2.25": seconds with up to three digits behind the point; -1 for anything else. */
static int64_t parse_seconds(const char *text) {
  int64_t whole = 0, thousandths = 0, unit = 100;
  const char *digits = text;
  for (; *text >= '0' && *text <= '9' && text - digits < 9; text++)
    whole = whole * 10 + (*text - '0');
  if (text == digits)
    return -1;
  if (*text == '.')
    for (text++; *text >= '0' && *text <= '9' && unit > 0; text++, unit /= 10)
      thousandths += unit * (*text - '0');
  return *text == '\0' ? whole * 1000 + thousandths : -1;
}

static int read_seconds(const char *name, const char *fallback, uint64_t *out_ms) {
  const char *text = mcp_env_text(name, fallback);
  int64_t ms = parse_seconds(text);
  if (ms < 1 || ms > INT64_C(86400) * 1000) {
    char shown[MCP_SHOWN_SIZE];
    mcp_log(MCP_LOG_ERROR, "config", "%s=\"%s\": seconds from 0.001 to 86400 are allowed", name,
            mcp_redact_setting(name, text, shown));
    return MCP_EENV;
  }
  *out_ms = (uint64_t)ms;
  return 0;
}

/* The name stands in Redis between blanks, and names a directory. */
static int read_worker_name(config_t *config) {
  static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  const char *name = mcp_env_text("GODOT_WORKER_NAME", "worker-1");
  size_t len = strspn(name, allowed);
  if (name[len] != '\0' || len > 64 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
    char shown[MCP_SHOWN_SIZE];
    mcp_log(MCP_LOG_ERROR, "config",
            "GODOT_WORKER_NAME=\"%s\": 1 to 64 of A-Z a-z 0-9 _ . - are allowed, but not \".\" and \"..\"",
            mcp_redact_setting("GODOT_WORKER_NAME", name, shown));
    return MCP_EENV;
  }
  config->worker_name = name;
  return 0;
}

/* The queue may not be what Godot keeps in Redis beside it (common.lua): batches, and the keys listed. */
static int read_queue_name(config_t *config) {
  static const char *const keys[] = {"logs:inflight", "logs:state", "logs:dead", "logs:dropped",
                                     "logger_config:levels"};
  static const char batches[] = "logs:batch:";
  const char *name = mcp_env_text("LOG_QUEUE_NAME", "logs:queue");
  bool is_own = strncmp(name, batches, sizeof batches - 1) == 0;
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    is_own = is_own || strcmp(name, keys[i]) == 0;
  if (is_own) {
    mcp_log(MCP_LOG_ERROR, "config",
            "LOG_QUEUE_NAME=\"%s\": Godot keeps something else there; name another key", name);
    return MCP_EENV;
  }
  config->queue_name = name;
  return 0;
}

static int read_limits(config_t *config) {
  int64_t message;
  int status = mcp_env_int("ICCM_MAX_MESSAGE_BYTES", 200 * MIB, 1024, 200 * MIB, &message);
  if (status == 0)
    status = mcp_env_int("MAX_QUEUE_SIZE", 100000, 1, 100000000, &config->max_queue_entries);
  if (status == 0)
    status =
        mcp_env_int("GODOT_QUEUE_MAX_BYTES", 1024 * MIB, 1024, INT64_C(1) << 50, &config->max_queue_bytes);
  if (status == 0)
    config->max_message_bytes = (size_t)message;
  return status;
}

static int read_worker(config_t *config) {
  int timeout_ms = 0;
  int status = read_worker_name(config);
  if (status == 0)
    status = read_int("BATCH_SIZE", 100, 1, 1000, &config->batch_size);
  if (status == 0)
    status = read_int("GODOT_BATCHES_IN_FLIGHT", 4, 1, CONFIG_MAX_IN_FLIGHT, &config->batches_in_flight);
  if (status == 0)
    status = read_int("BATCH_TIMEOUT_MS", 100, 1, 60000, &timeout_ms);
  if (status == 0)
    status = mcp_env_int("GODOT_SPOOL_MAX_BYTES", 0, 0, INT64_C(1) << 50, &config->spool_max_bytes);
  if (status == 0)
    status = read_int("RETRY_MAX_ATTEMPTS", 5, 0, 1000, &config->retry_max_attempts);
  if (status == 0)
    status = read_seconds("RETRY_INITIAL_DELAY", "1", &config->retry_initial_ms);
  if (status == 0)
    status = read_seconds("RETRY_MAX_DELAY", "30", &config->retry_max_ms);
  if (status == 0)
    status = read_seconds("DEWEY_CONNECT_TIMEOUT", "30", &config->dewey_timeout_ms);
  config->batch_timeout_ms = (uint64_t)timeout_ms;
  return status;
}

static int check_log_level(void) {
  const char *level = mcp_env_text("LOG_LEVEL", "INFO");
  if (mcp_log_level_parse(level) >= 0)
    return 0;
  char shown[MCP_SHOWN_SIZE];
  mcp_log(MCP_LOG_ERROR, "config", "LOG_LEVEL=\"%s\": TRACE, DEBUG, INFO, WARN or ERROR are allowed",
          mcp_redact_setting("LOG_LEVEL", level, shown));
  return MCP_EENV;
}

int config_read(config_t *config) {
  int status = check_log_level();
  if (status == 0)
    status = read_int("MCP_PORT", 9060, 0, 65535, &config->port);
  if (status == 0)
    status = read_int("REDIS_PORT", 6379, 1, 65535, &config->redis_port);
  if (status == 0)
    status = mcp_env_directories("GODOT_IMPORT_PATHS", &config->import_paths);
  if (status == 0)
    status = read_limits(config);
  if (status == 0)
    status = read_worker(config);
  if (status == 0)
    status = read_queue_name(config);
  config->redis_host = mcp_env_text("REDIS_HOST", "localhost");
  config->dewey_url = mcp_env_text("DEWEY_MCP_URL", "ws://localhost:9020");
  return status;
}
