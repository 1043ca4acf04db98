/* findings: every diagnosis has texts, failures but not warnings set the exit code, and a peer's text is
 * escaped.
 */
#include "exit_codes.h"
#include "cli_test.h"
#include "findings.h"

static findings_t findings;

static finding_t *add(diagnosis_id_t diagnosis, const char *what) {
  finding_t *finding = &findings.list[findings.count++];
  *finding = (finding_t){.stage = "connect", .diagnosis = diagnosis_of(diagnosis), .ms = 1.25};
  snprintf(finding->what, sizeof finding->what, "%s", what);
  return finding;
}

static void begin(void) {
  findings = (findings_t){.count = 0};
}

TestSuite(findings, .init = begin);

Test(findings, every_diagnosis_has_a_name_of_its_own_and_words) {
  for (diagnosis_id_t id = DIAGNOSIS_NONE + 1; id < DIAGNOSIS_COUNT; id++) {
    const diagnosis_t *diagnosis = diagnosis_of(id);
    cr_assert(diagnosis->name != NULL && *diagnosis->name != '\0', "cause %d", (int)id);
    cr_expect(strlen(diagnosis->cause) > 20 && strlen(diagnosis->to_do) > 10, "%s", diagnosis->name);
    cr_expect_eq(diagnosis->verdict == VERDICT_FAILED, diagnosis->exit_code != ICCM_OK, "%s",
                 diagnosis->name);
    for (diagnosis_id_t other = DIAGNOSIS_NONE + 1; other < id; other++)
      cr_expect_str_neq(diagnosis->name, diagnosis_of(other)->name);
  }
}

Test(findings, the_first_failure_gives_the_exit_code) {
  cr_expect_eq(findings_exit_code(&findings), ICCM_OK);
  add(DIAGNOSIS_NONE, "fine");
  add(DIAGNOSIS_BAD_JSON_SILENT, "hm");
  cr_expect_eq(findings_exit_code(&findings), ICCM_OK);
  add(DIAGNOSIS_UNAUTHORIZED, "no");
  add(DIAGNOSIS_SILENT, "nothing");
  cr_expect_eq(findings_exit_code(&findings), ICCM_REFUSED);
}

Test(findings, the_summary_counts) {
  capture_t captured;
  capture_begin(&captured, 0);
  findings_print_summary(&captured.print, &findings);
  add(DIAGNOSIS_BAD_JSON_SILENT, "hm");
  findings_print_summary(&captured.print, &findings);
  add(DIAGNOSIS_SILENT, "nothing");
  findings_print_summary(&captured.print, &findings);
  add(DIAGNOSIS_SILENT, "nothing");
  add(DIAGNOSIS_BAD_JSON_SILENT, "hm");
  findings_print_summary(&captured.print, &findings);
  capture_end(&captured, "no problem found\n"
                         "no problem found, 1 warning\n"
                         "1 problem found, 1 warning\n"
                         "2 problems found, 2 warnings\n");
  assert_no_leaks();
}

Test(findings, what_a_peer_said_is_made_safe) {
  capture_t captured;
  capture_begin(&captured, 60);
  finding_print(&captured.print, add(DIAGNOSIS_NONE, "\x1b[2J\xff"));
  finding_print(&captured.print, add(DIAGNOSIS_SSH, "it"));
  capture_end(&captured, "ok       connect        \\u001b[2J\\xff  1.2 ms\n"
                         "FAILED   connect        it  1.2 ms\n"
                         "         cause: This is the port of an SSH server.\n"
                         "         to do: Use the MCP server's port.\n");
  assert_no_leaks();
}

Test(findings, json_is_valid_whatever_a_peer_said) {
  capture_t captured;
  snprintf(add(DIAGNOSIS_SSH, "\xff\n\"")->address, FINDING_ADDRESS_SIZE, "[::1]:9");
  capture_begin(&captured, 0);
  findings_print_json(&captured.print, &findings, "[::1]:9", 2);
  capture_end(
      &captured,
      "{\"url\":\"[::1]:9\",\"exit_code\":2,\"problems\":1,\"warnings\":0,\"ms\":2.0,\"findings\":["
      "{\"stage\":\"connect\",\"verdict\":\"failed\",\"address\":\"[::1]:9\",\"ms\":1.25,"
      "\"what\":\"\\\\xff\\\\n\\\"\",\"name\":\"ssh\",\"cause\":\"This is the port of an SSH server.\","
      "\"to_do\":\"Use the MCP server's port.\"}]}\n");
  assert_no_leaks();
}
