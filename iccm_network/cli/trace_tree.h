/* trace_tree.h: the log lines of one trace as a tree of calls. No I/O. */
#ifndef ICCM_CLI_TRACE_TREE_H
#define ICCM_CLI_TRACE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yyjson.h>

typedef enum trace_kind {
  TRACE_CALL,
  TRACE_MISSING, /* a parent named by other calls, but without log lines */
  TRACE_LINE
} trace_kind_t;

typedef enum trace_outcome {
  TRACE_UNKNOWN,
  TRACE_NOT_ENDED,
  TRACE_OK,
  TRACE_CANCELLED,
  TRACE_FAILED
} trace_outcome_t;

/* Strings are borrowed from the rows; "": none. */
typedef struct trace_node {
  trace_kind_t kind;
  struct trace_node *parent, *first, *last, *next; /* first, last: children; next: sibling */
  size_t depth;                                    /* 0: no parent */
  int64_t start_us;
  size_t order; /* of insertion */
  const char *component;
  /* Of calls: */
  const char *span_id, *parent_span_id, *tool, *error;
  trace_outcome_t outcome;
  bool timed;
  double ms;      /* duration, if timed */
  int64_t end_us; /* of its last row */
  /* Of lines: */
  yyjson_val *row;
} trace_node_t;

/* A zeroed one is empty. */
typedef struct trace_tree {
  trace_node_t **nodes; /* owned; sorted by time after trace_tree_build() */
  size_t count;
  trace_node_t root; /* parent of the nodes without parent */
} trace_tree_t;

/* Adds a row with its time. The row is borrowed until trace_tree_deinit(). Ends the program if out of memory.
 */
void trace_tree_add(trace_tree_t *tree, yyjson_val *row, int64_t time_us);
/* Builds the tree. Call it once, after all rows were added. */
void trace_tree_build(trace_tree_t *tree);
/* Iterates in depth-first order, parents first. NULL: start, and end. */
trace_node_t *trace_tree_next(const trace_tree_t *tree, const trace_node_t *node);
void trace_tree_deinit(trace_tree_t *tree);

#endif
