/* test_cmdline.c: output and exit status of a service's command line. */
#include "iccm_network.h"
#include "iccm_service.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>

void mcp_log(int level, const char *part, const char *format,
             ...) { /* there are no misspelled variables here */
  (void)level;
  (void)part;
  (void)format;
}

#define HELP "usage: depot [--help]\n\n100% of it.\n"
#define WRONG "depot: invalid arguments; see --help\n"

/* The program's name and up to two arguments. */
static int options(const char *const words[3]) {
  char text[3][32], *argv[4] = {NULL};
  int argc = 0;
  for (; argc < 3 && words[argc] != NULL; argc++) {
    snprintf(text[argc], sizeof text[argc], "%s", words[argc]);
    argv[argc] = text[argc];
  }
  return mcp_service_command_line(argc, argv, "depot", "1.2.3", HELP);
}

static void expect(const char *const words[3], int status, const char *out, const char *err) {
  cr_redirect_stdout();
  cr_redirect_stderr();
  cr_expect_eq(options(words), status);
  fflush(stderr);
  cr_expect_stdout_eq_str(out);
  cr_expect_stderr_eq_str(err);
}

#define WORDS(...) ((const char *const[3]){__VA_ARGS__})

Test(options, none) {
  expect(WORDS("/bin/depot"), -1, "", "");
}

Test(options, no_name_of_the_program_either) {
  expect(WORDS(NULL), -1, "", "");
}

Test(options, help) {
  expect(WORDS("depot", "--help"), 0, HELP, "");
}

Test(options, short_help) {
  expect(WORDS("depot", "-h"), 0, HELP, "");
}

Test(options, version) {
  expect(WORDS("depot", "--version"), 0, "depot 1.2.3\n", "");
}

Test(options, short_version) {
  expect(WORDS("depot", "-V"), 0, "depot 1.2.3\n", "");
}

Test(options, wrong) {
  expect(WORDS("depot", "--port=1"), 2, "", WRONG);
}

Test(options, wrong_word) {
  expect(WORDS("depot", "help"), 2, "", WRONG);
}

Test(options, empty) {
  expect(WORDS("depot", ""), 2, "", WRONG);
}

Test(options, one_more) {
  expect(WORDS("depot", "--help", "--version"), 2, "", WRONG);
}

Test(options, a_full_disk) {
  cr_redirect_stderr();
  cr_assert_not_null(freopen("/dev/full", "w", stdout));
  cr_expect_eq(options(WORDS("depot", "--help")), 1);
  fflush(stderr);
  cr_expect_stderr_eq_str("depot: cannot write: No space left on device\n");
}
