/* trace_tree.h: the log lines of one trace, as the tree of calls that made them. Pure. */
#ifndef ICCM_CLI_TRACE_TREE_H
#define ICCM_CLI_TRACE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yyjson.h>

typedef enum trace_kind {
  TRACE_CALL,
  TRACE_MISSING, /* a call that others name as theirs, and of which there is no line */
  TRACE_LINE
} trace_kind_t;

typedef enum trace_outcome {
  TRACE_UNKNOWN,
  TRACE_NOT_ENDED,
  TRACE_OK,
  TRACE_CANCELLED,
  TRACE_FAILED
} trace_outcome_t;

/* Texts and rows are borrowed from the rows; texts are "" where there is none. */
typedef struct trace_node {
  trace_kind_t kind;
  struct trace_node *parent, *first, *last, *next; /* first and last: of its children */
  size_t depth;                                    /* of those without parent: 0 */
  int64_t start_us;
  size_t order; /* in which they were added */
  const char *component;
  /* Of calls: */
  const char *span_id, *parent_span_id, *tool, *error;
  trace_outcome_t outcome;
  bool timed;
  double ms;      /* that it took, where it is timed */
  int64_t end_us; /* of the last that is known of it */
  /* Of lines: */
  yyjson_val *row;
} trace_node_t;

/* A zeroed one is empty. */
typedef struct trace_tree {
  trace_node_t **nodes; /* owned, in the order of time once it is built */
  size_t count;
  trace_node_t root; /* above those without parent */
} trace_tree_t;

/* Adds a row, which stays the caller's until trace_tree_deinit(), and its time. Ends the program where there
 * is no memory. */
void trace_tree_add(trace_tree_t *tree, yyjson_val *row, int64_t time_us);
/* Once, after all rows. */
void trace_tree_build(trace_tree_t *tree);
/* The nodes, each before what is below it: begins with NULL, ends with it. */
trace_node_t *trace_tree_next(const trace_tree_t *tree, const trace_node_t *node);
void trace_tree_deinit(trace_tree_t *tree);

#endif
