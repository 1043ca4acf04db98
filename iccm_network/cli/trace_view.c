/* trace_view.c: see trace_view.h. */
#include "trace_view.h"

#include <stdlib.h>
#include <string.h>
#include "check_alloc.h"
#include "logline.h"
#include "print.h"
#include "trace_tree.h"

enum { TIME_COLUMNS = 12, MAX_INDENT = 40 };

static const char *const outcomes[] = {[TRACE_UNKNOWN] = "unknown",
                                       [TRACE_NOT_ENDED] = "not ended",
                                       [TRACE_OK] = "ok",
                                       [TRACE_CANCELLED] = "cancelled",
                                       [TRACE_FAILED] = "failed"};

static double start_ms(const trace_tree_t *tree, const trace_node_t *node) {
  return (double)(node->start_us - tree->nodes[0]->start_us) / 1e3;
}

/* ---- text ------------------------------------------------------------------------------------------ */

static void print_text_of(const print_t *print, const char *text) {
  print_line(print, text, strlen(text), 0);
}

static void print_call(const print_t *print, const trace_node_t *call) {
  bool failed = call->outcome == TRACE_FAILED;
  if (failed)
    logline_colour(print, "ERROR");
  else
    print_bold(print);
  print_text_of(print, call->component);
  fputs(*call->tool != '\0' ? ": " : "", print->file);
  print_text_of(print, call->tool);
  if (call->outcome != TRACE_UNKNOWN)
    fprintf(print->file, "  %s", outcomes[call->outcome]);
  if (*call->error != '\0') {
    fputs(": ", print->file);
    print_text_of(print, call->error);
  }
  print_plain(print);
  fputc('\n', print->file);
}

/* Without the span ids. */
static void print_data(const print_t *print, yyjson_val *data) {
  if (!yyjson_is_obj(data))
    return;
  yyjson_mut_doc *doc = check_alloc(yyjson_mut_doc_new(NULL));
  yyjson_mut_val *rest = check_alloc(yyjson_val_mut_copy(doc, data));
  yyjson_mut_obj_remove_key(rest, "span_id");
  yyjson_mut_obj_remove_key(rest, "parent_span_id");
  if (yyjson_mut_obj_size(rest) > 0) {
    char *text = check_alloc(yyjson_mut_val_write(rest, 0, NULL));
    fputs("  ", print->file);
    print_text_of(print, text);
    free(text);
  }
  yyjson_mut_doc_free(doc);
}

/* Without the component if the parent call shows it. */
static void print_row(const print_t *print, const trace_node_t *line) {
  const char *level = logline_string(line->row, "level");
  yyjson_val *message = yyjson_obj_get(line->row, "message");
  logline_colour(print, level);
  print_text_of(print, level);
  print_plain(print);
  fputc(' ', print->file);
  if (line->depth == 0) {
    print_text_of(print, line->component);
    fputs(": ", print->file);
  }
  print_line(print, yyjson_get_str(message), yyjson_get_len(message), 0);
  print_data(print, yyjson_obj_get(line->row, "data"));
  fputc('\n', print->file);
}

static void print_node(const print_t *print, const trace_tree_t *tree, const trace_node_t *node) {
  size_t indent = 2 * node->depth;
  fprintf(print->file, "%+*.3f ms", TIME_COLUMNS, start_ms(tree, node));
  if (node->timed)
    fprintf(print->file, "%*.3f ms", TIME_COLUMNS, node->ms);
  else
    print_pad(print, TIME_COLUMNS + 3);
  print_pad(print, 2 + (indent < MAX_INDENT ? indent : MAX_INDENT));
  if (node->kind == TRACE_CALL) {
    print_call(print, node);
  } else if (node->kind == TRACE_LINE) {
    print_row(print, node);
  } else {
    fputs("(no log lines of call ", print->file);
    print_text_of(print, node->span_id);
    fputs(")\n", print->file);
  }
}

void trace_print(const print_t *print, const trace_tree_t *tree) {
  for (const trace_node_t *node = NULL; (node = trace_tree_next(tree, node)) != NULL;)
    print_node(print, tree, node);
}

/* ---- JSON ------------------------------------------------------------------------------------------ */

static void put_text(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *name, const char *text) {
  if (*text != '\0')
    yyjson_mut_obj_add_strcpy(doc, object, name, text);
  else
    yyjson_mut_obj_add_null(doc, object, name);
}

static void add_call(yyjson_mut_doc *doc, yyjson_mut_val *calls, const trace_tree_t *tree,
                     const trace_node_t *call) {
  yyjson_mut_val *object = check_alloc(yyjson_mut_arr_add_obj(doc, calls));
  put_text(doc, object, "span_id", call->span_id);
  put_text(doc, object, "parent_span_id", call->parent_span_id);
  yyjson_mut_obj_add_uint(doc, object, "depth", call->depth);
  put_text(doc, object, "component", call->component);
  put_text(doc, object, "tool", call->tool);
  yyjson_mut_obj_add_real(doc, object, "start_ms", start_ms(tree, call));
  if (call->timed)
    yyjson_mut_obj_add_real(doc, object, "duration_ms", call->ms);
  else
    yyjson_mut_obj_add_null(doc, object, "duration_ms");
  yyjson_mut_obj_add_str(doc, object, "outcome",
                         call->kind == TRACE_MISSING ? "missing" : outcomes[call->outcome]);
  put_text(doc, object, "error", call->error);
}

static void add_line(yyjson_mut_doc *doc, yyjson_mut_val *lines, const trace_tree_t *tree,
                     const trace_node_t *line) {
  yyjson_mut_val *object = check_alloc(yyjson_mut_arr_add_obj(doc, lines));
  put_text(doc, object, "span_id", line->parent->span_id != NULL ? line->parent->span_id : "");
  yyjson_mut_obj_add_uint(doc, object, "depth", line->depth);
  yyjson_mut_obj_add_real(doc, object, "start_ms", start_ms(tree, line));
  yyjson_mut_obj_add_val(doc, object, "line", check_alloc(yyjson_val_mut_copy(doc, line->row)));
}

void trace_print_json(const print_t *print, const trace_tree_t *tree, const char *trace_id) {
  yyjson_mut_doc *doc = check_alloc(yyjson_mut_doc_new(NULL));
  yyjson_mut_val *root = check_alloc(yyjson_mut_obj(doc));
  yyjson_mut_doc_set_root(doc, root);
  yyjson_mut_obj_add_val(doc, root, "trace_id", print_safe(doc, trace_id, strlen(trace_id)));
  yyjson_mut_val *calls = check_alloc(yyjson_mut_obj_add_arr(doc, root, "calls"));
  yyjson_mut_val *lines = check_alloc(yyjson_mut_obj_add_arr(doc, root, "lines"));
  for (const trace_node_t *node = NULL; (node = trace_tree_next(tree, node)) != NULL;) {
    if (node->kind == TRACE_LINE)
      add_line(doc, lines, tree, node);
    else
      add_call(doc, calls, tree, node);
  }
  yyjson_doc *made = check_alloc(yyjson_mut_doc_imut_copy(doc, NULL));
  print_json(print, yyjson_doc_get_root(made), false);
  yyjson_doc_free(made);
  yyjson_mut_doc_free(doc);
}
