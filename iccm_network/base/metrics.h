/* metrics.h: counters, gauges and histograms of a component, and the text in which a scraper reads them
 * (Prometheus text exposition format 0.0.4); pure. */
#ifndef MCP_METRICS_H
#define MCP_METRICS_H

#include "base/buf.h"

#include <stdatomic.h>
#include <uv.h>

enum {
  MCP__METRICS_MAX = 256,               /* of one registry */
  MCP__METRICS_LABEL_VALUES_MAX = 100,  /* of one metric; what comes beyond is counted as "other" */
  MCP__METRICS_LABEL_VALUE_BYTES = 128, /* the same */
  MCP__METRICS_NAME_BYTES = 128,
  MCP__METRICS_HELP_BYTES = 1024,
  MCP__METRICS_BUCKETS = 15 /* of a histogram, the last one without an upper bound */
};

/* ---- text ---- */

typedef struct mcp__label {
  const char *name, *value;
} mcp__label_t;

/* How long something took: how often, by bucket, and altogether. One thread. */
typedef struct mcp__duration_histogram {
  uint64_t buckets[MCP__METRICS_BUCKETS]; /* each without those before it */
  double sum_s;
} mcp__duration_histogram_t;

size_t mcp__histogram_bucket(double seconds);

/* The two lines in front of a metric's samples; type is MCP_COUNTER, … Then a sample, and those of a
 * histogram. All: 0, MCP_ETOOBIG, UV_ENOMEM. */
int mcp__expose_header(mcp__buf_t *out, const char *name, int type, const char *help);
int mcp__expose(mcp__buf_t *out, const char *name, const mcp__label_t *labels, size_t count, double value);
int mcp__expose_histogram(mcp__buf_t *out, const char *name, const mcp__label_t *labels, size_t count,
                          const mcp__duration_histogram_t *times);

/* ---- what a component counts ---- */

/* Metrics come and stay; counting takes no lock but for a label value's first time. Who may still count holds
 * them. */
typedef struct mcp__metrics {
  atomic_uint users;
  uv_mutex_t mutex; /* guards what follows, and the making of series */
  mcp_metric_t *first, *last;
  unsigned count;
} mcp__metrics_t;

mcp__metrics_t *mcp__metrics_new(void); /* held once; NULL: no memory */
mcp__metrics_t *mcp__metrics_hold(mcp__metrics_t *metrics);
void mcp__metrics_release(mcp__metrics_t *metrics); /* any thread; NULL is fine */

/* See mcp_server_metric(). Any thread. 0; UV_EINVAL: type, name, help or label; UV_EEXIST: something else has
 * the name; MCP_ELIMIT; UV_ENOMEM. problem has the words. */
int mcp__metrics_add(mcp__metrics_t *metrics, int type, const char *name, const char *help, const char *label,
                     mcp_metric_t **metric, const char **problem);

int mcp__metrics_write(mcp__metrics_t *metrics, mcp__buf_t *out); /* all of them; any thread */

#endif
