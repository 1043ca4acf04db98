/* trace_tree.c: see trace_tree.h.
 *
 * Happy path: rows with the same data.span_id belong to one call. The rows that the library writes at its
 * start and end give its tool and outcome; all others become its lines. data.parent_span_id names its parent.
 * A row without a span becomes a line of the call of its component that is nearest in time.
 *
 * Failure modes, since any client can write rows: a parent without rows is added as missing; a link that
 * would make a call its own ancestor is dropped; there is no recursion.
 */
#include "trace_tree.h"

#include <stdlib.h>
#include <string.h>
#include "check_alloc.h"
#include "logline.h"

static trace_node_t *add_node(trace_tree_t *tree, trace_kind_t kind, int64_t time_us) {
  if ((tree->count & (tree->count - 1)) == 0)
    tree->nodes = check_alloc(realloc(tree->nodes, (tree->count * 2 + 1) * sizeof *tree->nodes));
  trace_node_t *node = check_alloc(calloc(1, sizeof *node));
  *node = (trace_node_t){.kind = kind,
                         .order = tree->count,
                         .start_us = time_us,
                         .end_us = time_us,
                         .component = "",
                         .span_id = "",
                         .parent_span_id = "",
                         .tool = "",
                         .error = ""};
  tree->nodes[tree->count++] = node;
  return node;
}

static trace_node_t *find_span(const trace_tree_t *tree, const char *span_id) {
  for (size_t i = 0; i < tree->count; i++)
    if (tree->nodes[i]->kind != TRACE_LINE && strcmp(tree->nodes[i]->span_id, span_id) == 0)
      return tree->nodes[i];
  return NULL;
}

/* ---- adding ---------------------------------------------------------------------------------------- */

static void record_end(trace_node_t *call, yyjson_val *data, int64_t time_us) {
  yyjson_val *ms = yyjson_obj_get(data, "duration_ms");
  call->timed = yyjson_is_num(ms) && yyjson_get_num(ms) >= 0 && yyjson_get_num(ms) < 1e12;
  if (!call->timed)
    return;
  call->ms = yyjson_get_num(ms);
  if (time_us - (int64_t)(call->ms * 1000) < call->start_us)
    call->start_us = time_us - (int64_t)(call->ms * 1000);
}

/* Records a row that the library writes about a call (server_log.c). False: another row. */
static bool record_event(trace_node_t *call, yyjson_val *row, yyjson_val *data, int64_t time_us) {
  const char *message = logline_string(row, "message");
  if (strcmp(message, "Tool call started") == 0) {
    call->outcome = call->outcome == TRACE_UNKNOWN ? TRACE_NOT_ENDED : call->outcome;
  } else if (strcmp(message, "Tool call completed") == 0) {
    call->outcome = yyjson_get_bool(yyjson_obj_get(data, "cancelled")) ? TRACE_CANCELLED : TRACE_OK;
    record_end(call, data, time_us);
  } else if (strcmp(message, "Tool error") == 0) {
    call->outcome = TRACE_FAILED;
    call->error = logline_string(data, "error");
    record_end(call, data, time_us);
  } else {
    return false;
  }
  call->tool = logline_string(data, "tool_name");
  return true;
}

static void record_row(trace_node_t *call, yyjson_val *row, yyjson_val *data, int64_t time_us) {
  const char *parent = logline_string(data, "parent_span_id");
  if (*call->component == '\0')
    call->component = logline_string(row, "component");
  if (*parent != '\0')
    call->parent_span_id = parent;
  if (time_us < call->start_us)
    call->start_us = time_us;
  if (time_us > call->end_us)
    call->end_us = time_us;
}

void trace_tree_add(trace_tree_t *tree, yyjson_val *row, int64_t time_us) {
  yyjson_val *data = yyjson_obj_get(row, "data");
  const char *span_id = logline_string(data, "span_id");
  if (*span_id != '\0') {
    trace_node_t *call = find_span(tree, span_id);
    if (call == NULL)
      call = add_node(tree, TRACE_CALL, time_us);
    call->span_id = span_id;
    record_row(call, row, data, time_us);
    if (record_event(call, row, data, time_us))
      return;
  }
  trace_node_t *line = add_node(tree, TRACE_LINE, time_us);
  line->row = row;
  line->span_id = span_id;
  line->component = logline_string(row, "component");
}

/* ---- building -------------------------------------------------------------------------------------- */

static int64_t distance(const trace_node_t *call, int64_t time_us) {
  if (time_us < call->start_us)
    return call->start_us - time_us;
  return time_us > call->end_us ? time_us - call->end_us : 0;
}

/* Of two calls that are as near the one that began later, which is the inner one. NULL: the component has
 * none. */
static trace_node_t *nearest(const trace_tree_t *tree, const trace_node_t *line) {
  trace_node_t *found = NULL;
  for (size_t i = 0; i < tree->count; i++) {
    trace_node_t *call = tree->nodes[i];
    if (call->kind != TRACE_CALL || strcmp(call->component, line->component) != 0)
      continue;
    int64_t far = distance(call, line->start_us),
            best = found != NULL ? distance(found, line->start_us) : INT64_MAX;
    if (far < best || (far == best && found != NULL && call->start_us > found->start_us))
      found = call;
  }
  return found;
}

static trace_node_t *parent_of(trace_tree_t *tree, const trace_node_t *node) {
  if (node->kind == TRACE_LINE)
    return *node->span_id != '\0' ? find_span(tree, node->span_id) : nearest(tree, node);
  if (*node->parent_span_id == '\0')
    return NULL;
  trace_node_t *parent = find_span(tree, node->parent_span_id);
  if (parent == NULL) {
    parent = add_node(tree, TRACE_MISSING, node->start_us);
    parent->span_id = node->parent_span_id;
  }
  if (node->start_us < parent->start_us && parent->kind == TRACE_MISSING)
    parent->start_us = node->start_us;
  for (const trace_node_t *each = parent; each != NULL; each = each->parent)
    if (each == node)
      return NULL; /* a cycle */
  return parent;
}

static int by_time(const void *a, const void *b) {
  const trace_node_t *left = *(trace_node_t *const *)a, *right = *(trace_node_t *const *)b;
  if (left->start_us != right->start_us)
    return left->start_us < right->start_us ? -1 : 1;
  return left->order < right->order ? -1 : 1;
}

trace_node_t *trace_tree_next(const trace_tree_t *tree, const trace_node_t *node) {
  const trace_node_t *at = node != NULL ? node : &tree->root;
  if (at->first != NULL)
    return at->first;
  while (at->next == NULL && at != &tree->root)
    at = at->parent;
  return at->next;
}

void trace_tree_build(trace_tree_t *tree) {
  for (size_t i = 0; i < tree->count; i++) { /* missing parents are appended; they have no parents */
    trace_node_t *parent = parent_of(tree, tree->nodes[i]);
    tree->nodes[i]->parent = parent;
  }
  if (tree->count > 0)
    qsort(tree->nodes, tree->count, sizeof *tree->nodes, by_time);
  for (size_t i = 0; i < tree->count; i++) {
    trace_node_t *node = tree->nodes[i];
    if (node->parent == NULL)
      node->parent = &tree->root;
    *(node->parent->last != NULL ? &node->parent->last->next : &node->parent->first) = node;
    node->parent->last = node;
  }
  for (trace_node_t *node = NULL; (node = trace_tree_next(tree, node)) != NULL;)
    node->depth = node->parent != &tree->root ? node->parent->depth + 1 : 0;
}

void trace_tree_deinit(trace_tree_t *tree) {
  for (size_t i = 0; i < tree->count; i++)
    free(tree->nodes[i]);
  free(tree->nodes);
  *tree = (trace_tree_t){.nodes = NULL};
}
