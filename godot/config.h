/* config.h: what Godot's two programs take from the environment, and say of it. */
#ifndef GODOT_CONFIG_H
#define GODOT_CONFIG_H

#include <stddef.h>
#include <stdint.h>

enum { CONFIG_MAX_IN_FLIGHT = 16 };

typedef struct config {
  int port;                  /* MCP_PORT */
  size_t max_message_bytes;  /* ICCM_MAX_MESSAGE_BYTES, 200 MiB here */
  const char *redis_host;    /* REDIS_HOST */
  int redis_port;            /* REDIS_PORT */
  const char *queue_name;    /* LOG_QUEUE_NAME */
  int64_t max_queue_entries; /* MAX_QUEUE_SIZE: queued and leased together */
  int64_t max_queue_bytes;   /* GODOT_QUEUE_MAX_BYTES: the same, in bytes */
  const char *dewey_url;     /* DEWEY_MCP_URL */
  const char *import_paths;  /* GODOT_IMPORT_PATHS */
  uint64_t dewey_timeout_ms; /* DEWEY_CONNECT_TIMEOUT: a whole call of the worker */
  const char *worker_name;   /* GODOT_WORKER_NAME: whose leases a worker that starts takes back */
  int batch_size;            /* BATCH_SIZE */
  int batches_in_flight;     /* GODOT_BATCHES_IN_FLIGHT, up to CONFIG_MAX_IN_FLIGHT */
  uint64_t batch_timeout_ms; /* BATCH_TIMEOUT_MS */
  const char *spool_dir;     /* GODOT_SPOOL_DIR: the worker's, where there is a spool */
  int64_t spool_max_bytes;   /* GODOT_SPOOL_MAX_BYTES; 0: no spool */
  int retry_max_attempts;    /* RETRY_MAX_ATTEMPTS */
  uint64_t retry_initial_ms; /* RETRY_INITIAL_DELAY */
  uint64_t retry_max_ms;     /* RETRY_MAX_DELAY */
} config_t;

/* Reads the environment; texts are borrowed from it. MCP_EENV after the log has named what is wrong. */
int config_read(config_t *config);

/* What the two programs say to --help. */
extern const char config_server_help[], config_worker_help[];

#endif
