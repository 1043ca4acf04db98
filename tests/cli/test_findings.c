/* What `iccm doctor` says of its findings: all causes have words, a failure counts and a warning does not,
 * and nothing that a peer said gets to the terminal as it is. */
#include "cli.h"
#include "cli_test.h"
#include "findings.h"

static findings_t findings;

static finding_t *add(cause_id_t cause, const char *what) {
  finding_t *finding = &findings.list[findings.count++];
  *finding = (finding_t){.stage = "connect", .cause = cause_of(cause), .ms = 1.25};
  snprintf(finding->what, sizeof finding->what, "%s", what);
  return finding;
}

static void begin(void) {
  findings = (findings_t){.count = 0};
}

TestSuite(findings, .init = begin);

Test(findings, every_cause_has_a_name_of_its_own_and_words) {
  for (cause_id_t id = CAUSE_NONE + 1; id < CAUSE_COUNT; id++) {
    const cause_t *cause = cause_of(id);
    cr_assert(cause->name != NULL && *cause->name != '\0', "cause %d", (int)id);
    cr_expect(strlen(cause->why) > 20 && strlen(cause->what_to_do) > 10, "%s", cause->name);
    cr_expect_eq(cause->verdict == VERDICT_FAILED, cause->exit_code != ICCM_OK, "%s", cause->name);
    for (cause_id_t other = CAUSE_NONE + 1; other < id; other++)
      cr_expect_str_neq(cause->name, cause_of(other)->name);
  }
}

Test(findings, the_first_failure_gives_the_exit_code) {
  cr_expect_eq(findings_exit_code(&findings), ICCM_OK);
  add(CAUSE_NONE, "fine");
  add(CAUSE_BAD_JSON_SILENT, "hm");
  cr_expect_eq(findings_exit_code(&findings), ICCM_OK);
  add(CAUSE_UNAUTHORIZED, "no");
  add(CAUSE_SILENT, "nothing");
  cr_expect_eq(findings_exit_code(&findings), ICCM_REFUSED);
}

Test(findings, the_summary_counts) {
  caught_t caught;
  catch_begin(&caught, 0);
  findings_print_summary(&caught.print, &findings);
  add(CAUSE_BAD_JSON_SILENT, "hm");
  findings_print_summary(&caught.print, &findings);
  add(CAUSE_SILENT, "nothing");
  findings_print_summary(&caught.print, &findings);
  add(CAUSE_SILENT, "nothing");
  add(CAUSE_BAD_JSON_SILENT, "hm");
  findings_print_summary(&caught.print, &findings);
  catch_end(&caught, "no problem found\n"
                     "no problem found, 1 warning\n"
                     "1 problem found, 1 warning\n"
                     "2 problems found, 2 warnings\n");
  assert_no_leaks();
}

Test(findings, what_a_peer_said_is_made_safe) {
  caught_t caught;
  catch_begin(&caught, 60);
  finding_print(&caught.print, add(CAUSE_NONE, "\x1b[2J\xff"));
  finding_print(&caught.print, add(CAUSE_SSH, "it"));
  catch_end(&caught, "ok       connect        \\u001b[2J\\xff  1.2 ms\n"
                     "FAILED   connect        it  1.2 ms\n"
                     "         cause: This is the port of an SSH server.\n"
                     "         to do: Use the MCP server's port.\n");
  assert_no_leaks();
}

Test(findings, json_is_valid_whatever_a_peer_said) {
  caught_t caught;
  snprintf(add(CAUSE_SSH, "\xff\n\"")->address, FINDING_ADDRESS_SIZE, "[::1]:9");
  catch_begin(&caught, 0);
  findings_print_json(&caught.print, &findings, "[::1]:9", 2);
  catch_end(&caught,
            "{\"url\":\"[::1]:9\",\"exit_code\":2,\"problems\":1,\"warnings\":0,\"ms\":2.0,\"findings\":["
            "{\"stage\":\"connect\",\"verdict\":\"failed\",\"address\":\"[::1]:9\",\"ms\":1.25,"
            "\"what\":\"\\\\xff\\\\n\\\"\",\"name\":\"ssh\",\"cause\":\"This is the port of an SSH server.\","
            "\"to_do\":\"Use the MCP server's port.\"}]}\n");
  assert_no_leaks();
}
