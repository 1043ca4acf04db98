/* findings.c: one line for each finding; for failures and warnings also the cause and the remedy.
 *
 *     ok       name           localhost is 127.0.0.1                                    0.2 ms
 *     FAILED   connect        127.0.0.1:9000 refused the connection                     0.1 ms
 *              cause: No program listens …
 *              to do: Start the server …
 *
 * `what` may quote a peer: print_line() escapes it.
 */
#include <string.h>
#include "check_alloc.h"
#include "exit_codes.h"
#include "findings.h"
#include "print.h"

enum { STAGE_COLUMN = 9, WHAT_COLUMN = 24, TIME_COLUMN = 82 };

static const char *const verdict_names[] = {
    [VERDICT_OK] = "ok", [VERDICT_WARNING] = "warning", [VERDICT_FAILED] = "FAILED"};

static size_t count_of(const findings_t *findings, verdict_t verdict) {
  size_t count = 0;
  for (size_t i = 0; i < findings->count; i++)
    count += findings->list[i].diagnosis->verdict == verdict;
  return count;
}

int findings_exit_code(const findings_t *findings) {
  for (size_t i = 0; i < findings->count; i++)
    if (findings->list[i].diagnosis->verdict == VERDICT_FAILED)
      return findings->list[i].diagnosis->exit_code;
  return ICCM_OK;
}

static void print_explained(const print_t *out, const char *label, const char *text) {
  if (*text == '\0')
    return;
  print_pad(out, STAGE_COLUMN);
  fputs(label, out->file);
  print_wrapped(out, STAGE_COLUMN + strlen(label), STAGE_COLUMN + strlen(label), text);
}

void finding_print(const print_t *out, const finding_t *finding) {
  const char *word = verdict_names[finding->diagnosis->verdict];
  bool is_ok = finding->diagnosis->verdict == VERDICT_OK;
  if (!is_ok)
    print_bold(out);
  fputs(word, out->file);
  print_pad(out, STAGE_COLUMN - strlen(word));
  fputs(finding->stage, out->file);
  if (!is_ok)
    print_plain(out);
  print_pad(out, WHAT_COLUMN - STAGE_COLUMN - strlen(finding->stage));
  size_t used = WHAT_COLUMN + print_line(out, finding->what, strlen(finding->what), 0);
  print_pad(out, used < TIME_COLUMN && out->width == 0 ? TIME_COLUMN - used : 2);
  fprintf(out->file, "%.1f ms\n", finding->ms);
  print_explained(out, "cause: ", finding->diagnosis->cause);
  print_explained(out, "to do: ", finding->diagnosis->to_do);
}

static void print_count(const print_t *out, size_t count, const char *what) {
  fprintf(out->file, "%zu %s%s", count, what, count == 1 ? "" : "s");
}

void findings_print_summary(const print_t *out, const findings_t *findings) {
  size_t failed = count_of(findings, VERDICT_FAILED), warnings = count_of(findings, VERDICT_WARNING);
  print_bold(out);
  if (failed > 0)
    print_count(out, failed, "problem");
  else
    fputs("no problem", out->file);
  fputs(" found", out->file);
  if (warnings > 0) {
    fputs(", ", out->file);
    print_count(out, warnings, "warning");
  }
  print_plain(out);
  fputc('\n', out->file);
}

static void add_text(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, const char *text) {
  if (*text == '\0')
    yyjson_mut_obj_add_null(doc, object, key);
  else
    yyjson_mut_obj_add_str(doc, object, key, text);
}

static void add_ms(yyjson_mut_doc *doc, yyjson_mut_val *object, double ms) {
  yyjson_mut_obj_add_real(doc, object, "ms", (double)(int64_t)(ms * 1000 + 0.5) / 1000);
}

static yyjson_mut_val *finding_json(yyjson_mut_doc *doc, const finding_t *finding) {
  yyjson_mut_val *object = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_str(doc, object, "stage", finding->stage);
  yyjson_mut_obj_add_str(
      doc, object, "verdict",
      finding->diagnosis->verdict == VERDICT_FAILED ? "failed" : verdict_names[finding->diagnosis->verdict]);
  add_text(doc, object, "address", finding->address);
  add_ms(doc, object, finding->ms);
  yyjson_mut_obj_add_val(doc, object, "what", print_safe(doc, finding->what, strlen(finding->what)));
  add_text(doc, object, "name", finding->diagnosis->name);
  add_text(doc, object, "cause", finding->diagnosis->cause);
  add_text(doc, object, "to_do", finding->diagnosis->to_do);
  return object;
}

void findings_print_json(const print_t *out, const findings_t *findings, const char *url, double ms) {
  yyjson_mut_doc *doc = check_alloc(yyjson_mut_doc_new(NULL));
  yyjson_mut_val *root = yyjson_mut_obj(doc), *list = yyjson_mut_arr(doc);
  yyjson_mut_doc_set_root(doc, root);
  yyjson_mut_obj_add_val(doc, root, "url", print_safe(doc, url, strlen(url)));
  yyjson_mut_obj_add_int(doc, root, "exit_code", findings_exit_code(findings));
  yyjson_mut_obj_add_uint(doc, root, "problems", count_of(findings, VERDICT_FAILED));
  yyjson_mut_obj_add_uint(doc, root, "warnings", count_of(findings, VERDICT_WARNING));
  add_ms(doc, root, ms);
  for (size_t i = 0; i < findings->count; i++)
    yyjson_mut_arr_append(list, finding_json(doc, &findings->list[i]));
  yyjson_mut_obj_add_val(doc, root, "findings", list);
  yyjson_doc *written = check_alloc(yyjson_mut_doc_imut_copy(doc, NULL));
  print_json(out, yyjson_doc_get_root(written), false);
  yyjson_doc_free(written);
  yyjson_mut_doc_free(doc);
}
