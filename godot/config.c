/* config.c: settings from the environment, with their defaults and bounds.
 *
 * Happy path: unset variables have their defaults. Failure modes: a value that is invalid or out of bounds is
 * logged in one line, and the program exits. */
#include "config.h"

#include <iccm_network.h>
#include <iccm_service.h>
#include <string.h>

#define MIB (INT64_C(1024) * 1024)

#define SETTINGS                                                                                             \
  "Environment variables, with their defaults:\n"                                                            \
  "  MCP_PORT                9060                  TCP port to serve (server)\n"                             \
  "  ICCM_MAX_MESSAGE_BYTES  209715200             largest message, in bytes (server)\n"                     \
  "  REDIS_HOST, REDIS_PORT  localhost, 6379       Redis, which holds the queue\n"                           \
  "  LOG_QUEUE_NAME          logs:queue            key of the queue in Redis\n"                              \
  "  MAX_QUEUE_SIZE          100000                most entries in the queue; the oldest are dropped\n"      \
  "  GODOT_QUEUE_MAX_BYTES   1073741824            most bytes in the queue\n"                                \
  "  DEWEY_MCP_URL           ws://localhost:9020   address of the log store\n"                               \
  "  GODOT_IMPORT_PATHS      none                  directories for messages_file, such as /a:/b "            \
  "(server)\n"                                                                                               \
  "  DEWEY_CONNECT_TIMEOUT   30                    timeout for one batch, in seconds (worker)\n"             \
  "  GODOT_WORKER_NAME       worker-1              must differ between workers of one queue (worker)\n"      \
  "  BATCH_SIZE              100                   most entries in a batch (worker)\n"                       \
  "  GODOT_BATCHES_IN_FLIGHT 4                     batches sent concurrently, 1 to 16 (worker)\n"            \
  "  BATCH_TIMEOUT_MS        100                   time after which a smaller batch is sent (worker)\n"      \
  "  GODOT_SPOOL_MAX_BYTES   0                     most bytes on disk while the queue is full; 0: no spool " \
  "(worker)\n"                                                                                               \
  "  GODOT_SPOOL_DIR         spool in ICCM_DATA    directory of the spool (worker)\n"                        \
  "  RETRY_MAX_ATTEMPTS      5                     retries before a failure counts as persistent (worker)\n" \
  "  RETRY_INITIAL_DELAY     1                     seconds before the first retry; doubles (worker)\n"       \
  "  RETRY_MAX_DELAY         30                    longest delay between retries, in seconds (worker)\n"     \
  "  LOG_LEVEL               INFO                  lowest level written to stderr\n"                         \
  "Seconds may have decimals, such as 0.5.\n"

const char config_server_help[] = "usage: godot-server [--help] [--version]\n\n"
                                  "Queues log entries, and forwards queries to the log store.\n\n" SETTINGS;

const char config_worker_help[] = "usage: godot-worker [--help] [--version]\n\n"
                                  "Moves log entries from Redis to the log store. See `iccm dead` for "
                                  "entries that it refuses.\n\n" SETTINGS;

static int read_int(const char *name, int64_t fallback, int64_t min, int64_t max, int *out) {
  int64_t value;
  int status = mcp_env_int(name, fallback, min, max, &value);
  if (status == 0)
    *out = (int)value;
  return status;
}

/* Parses seconds with up to three decimals, such as "1", "0.5" or "2.25". Returns milliseconds, or -1 if
 * invalid. */
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
    mcp_log(MCP_LOG_ERROR, "config", "invalid %s=\"%s\": expected seconds from 0.001 to 86400", name,
            mcp_redact_setting(name, text, shown));
    return MCP_EENV;
  }
  *out_ms = (uint64_t)ms;
  return 0;
}

/* The name is a word in the header of a batch in Redis (common.lua), and the name of a directory. */
static int read_worker_name(config_t *config) {
  static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  const char *name = mcp_env_text("GODOT_WORKER_NAME", "worker-1");
  size_t len = strspn(name, allowed);
  if (name[len] != '\0' || len > 64 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
    char shown[MCP_SHOWN_SIZE];
    mcp_log(
        MCP_LOG_ERROR, "config",
        "invalid GODOT_WORKER_NAME=\"%s\": expected 1 to 64 of A-Z a-z 0-9 _ . -, except \".\" and \"..\"",
        mcp_redact_setting("GODOT_WORKER_NAME", name, shown));
    return MCP_EENV;
  }
  config->worker_name = name;
  return 0;
}

/* The queue must not be one of the other keys that Godot uses in Redis (common.lua). */
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
            "invalid LOG_QUEUE_NAME=\"%s\": Godot uses this key for other data; choose another key", name);
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
  mcp_log(MCP_LOG_ERROR, "config", "invalid LOG_LEVEL=\"%s\": expected TRACE, DEBUG, INFO, WARN or ERROR",
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
