/* trace_view.h: the tree of a trace as text and as JSON. No I/O but printing. */
#ifndef ICCM_CLI_TRACE_VIEW_H
#define ICCM_CLI_TRACE_VIEW_H

#include "print.h"
#include "trace_tree.h"

/* One line for each node, indented by its depth: milliseconds since the first node, duration, description. */
void trace_print(const print_t *print, const trace_tree_t *tree);

/* {"trace_id", "calls": [{"span_id", "parent_span_id", "depth", "component", "tool", "start_ms",
 * "duration_ms", "outcome", "error"}], "lines": [{"span_id", "depth", "start_ms", "line": the row}]} */
void trace_print_json(const print_t *print, const trace_tree_t *tree, const char *trace_id);

#endif
