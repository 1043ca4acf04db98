/* config.h: settings of Godot's two programs, read from the environment; their --help texts. */
#ifndef GODOT_CONFIG_H
#define GODOT_CONFIG_H

#include <stddef.h>
#include <stdint.h>

enum { CONFIG_MAX_IN_FLIGHT = 16 };

typedef struct config {
  int port;                  /* MCP_PORT */
  size_t max_message_bytes;  /* ICCM_MAX_MESSAGE_BYTES, default 200 MiB in Godot */
  const char *redis_host;    /* REDIS_HOST */
  int redis_port;            /* REDIS_PORT */
  const char *queue_name;    /* LOG_QUEUE_NAME */
  int64_t max_queue_entries; /* MAX_QUEUE_SIZE: bounds queued and leased entries together */
  int64_t max_queue_bytes;   /* GODOT_QUEUE_MAX_BYTES: bounds the same in bytes */
  const char *dewey_url;     /* DEWEY_MCP_URL */
  const char *import_paths;  /* GODOT_IMPORT_PATHS */
  uint64_t dewey_timeout_ms; /* DEWEY_CONNECT_TIMEOUT: limits a whole call of the worker */
  const char *worker_name;   /* GODOT_WORKER_NAME: a restarted worker takes over the leases of its name */
  int batch_size;            /* BATCH_SIZE */
  int batches_in_flight;     /* GODOT_BATCHES_IN_FLIGHT, up to CONFIG_MAX_IN_FLIGHT */
  uint64_t batch_timeout_ms; /* BATCH_TIMEOUT_MS */
  const char *spool_dir;     /* GODOT_SPOOL_DIR; set by the worker if it has a spool */
  int64_t spool_max_bytes;   /* GODOT_SPOOL_MAX_BYTES; 0: no spool */
  int retry_max_attempts;    /* RETRY_MAX_ATTEMPTS */
  uint64_t retry_initial_ms; /* RETRY_INITIAL_DELAY */
  uint64_t retry_max_ms;     /* RETRY_MAX_DELAY */
} config_t;

/* Reads the environment; the strings are borrowed from it. Returns MCP_EENV after logging the invalid
 * variable. */
int config_read(config_t *config);

/* The --help texts of the two programs. */
extern const char config_server_help[], config_worker_help[];

#endif
