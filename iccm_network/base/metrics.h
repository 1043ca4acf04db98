/* metrics.h: counters, gauges and histograms of a component, and their text in the Prometheus text exposition
 * format 0.0.4; pure. */
#ifndef MCP_METRICS_H
#define MCP_METRICS_H

#include "base/buf.h"

#include <stdatomic.h>
#include <uv.h>

enum {
  MCP__METRICS_MAX = 256,               /* of one registry */
  MCP__METRICS_LABEL_VALUES_MAX = 100,  /* of one metric; further values count as "other" */
  MCP__METRICS_LABEL_VALUE_BYTES = 128, /* longer values count as "other" */
  MCP__METRICS_NAME_BYTES = 128,
  MCP__METRICS_HELP_BYTES = 1024,
  MCP__METRICS_BUCKETS = 15 /* of a histogram; the last one has no upper bound */
};

/* ---- exposition text ---- */

typedef struct mcp__label {
  const char *name, *value;
} mcp__label_t;

/* A histogram of durations: counts by bucket, and the sum. Single-threaded. */
typedef struct mcp__duration_histogram {
  uint64_t buckets[MCP__METRICS_BUCKETS]; /* not cumulative */
  double sum_s;
} mcp__duration_histogram_t;

size_t mcp__histogram_bucket(double seconds);

/* Writes the HELP and TYPE lines of a metric; type is MCP_COUNTER etc. The other functions write one sample,
 * and the samples of a histogram. All: 0, MCP_ETOOBIG, UV_ENOMEM. */
int mcp__expose_header(mcp__buf_t *out, const char *name, int type, const char *help);
int mcp__expose(mcp__buf_t *out, const char *name, const mcp__label_t *labels, size_t count, double value);
int mcp__expose_histogram(mcp__buf_t *out, const char *name, const mcp__label_t *labels, size_t count,
                          const mcp__duration_histogram_t *times);

/* ---- registry ---- */

/* A registry. Metrics are never removed. Counting takes a lock only for the first use of a label value.
 * Reference-counted: each user that may still count holds a reference. */
typedef struct mcp__metrics {
  atomic_uint users;
  uv_mutex_t mutex; /* guards the members below, and the creation of series */
  mcp_metric_t *first, *last;
  unsigned count;
} mcp__metrics_t;

mcp__metrics_t *mcp__metrics_new(void); /* with one reference; NULL: out of memory */
mcp__metrics_t *mcp__metrics_hold(mcp__metrics_t *metrics);
void mcp__metrics_release(mcp__metrics_t *metrics); /* any thread; NULL is fine */

/* See mcp_server_metric(). Any thread. 0; UV_EINVAL: invalid type, name, help or label; UV_EEXIST: another
 * metric has the name; MCP_ELIMIT; UV_ENOMEM. On error *problem is the message. */
int mcp__metrics_add(mcp__metrics_t *metrics, int type, const char *name, const char *help, const char *label,
                     mcp_metric_t **metric, const char **problem);

int mcp__metrics_write(mcp__metrics_t *metrics, mcp__buf_t *out); /* writes all metrics; any thread */

#endif
