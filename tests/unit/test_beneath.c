/* test_beneath.c: files below a directory are opened, and no others, whatever links and dots their paths
 * hold. */
#define _GNU_SOURCE /* O_PATH, F_SETLEASE, RTLD_NEXT */
#include "base/beneath.h"

#include "iccm_network.h"
#include "iccm_service.h"
#include "leaks.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char directory[256];

/* A directory "in" with the files a and sub/b, "out" beside it with secret, and links of all kinds. */
static void make_tree(void) {
  const char *parent = getenv("TMPDIR");
  snprintf(directory, sizeof directory, "%s/beneath-XXXXXX", parent != NULL ? parent : P_tmpdir);
  cr_assert_not_null(mkdtemp(directory));
  cr_assert_eq(chdir(directory), 0);
  mkdir("in", 0700);
  mkdir("in/sub", 0700);
  mkdir("out", 0700);
  static const char *const files[] = {"in/a", "in/sub/b", "out/secret"};
  for (int i = 0; i < 3; i++)
    close(creat(files[i], 0600));
  cr_assert_eq(mkfifo("in/fifo", 0600), 0);
  static const char *const links[][2] = {{"a", "in/inside"},
                                         {"../sub/b", "in/sub/up"},
                                         {"sub", "in/directory"},
                                         {"../out/secret", "in/to"},
                                         {"../out", "in/away"},
                                         {"loop", "in/loop"},
                                         {"/proc/self/root", "in/magic"}};
  for (int i = 0; i < 7; i++)
    cr_assert_eq(symlink(links[i][0], links[i][1]), 0);
}

static void remove_tree(void) {
  static const char *const names[] = {"in/a",    "in/sub/b",  "in/sub/up",    "out/secret",
                                      "in/fifo", "in/inside", "in/directory", "in/to",
                                      "in/away", "in/loop",   "in/magic"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    unlink(names[i]);
  rmdir("in/sub"), rmdir("in"), rmdir("out"), rmdir(directory);
}

static int refusals; /* that openat2() meets before it works */

/* The C library's, which beneath.c calls. */
long syscall(long number, ...) {
  static long (*real)(long number, ...);
  if (real == NULL)
    *(void **)&real = dlsym(RTLD_NEXT, "syscall");
  if (number == SYS_openat2 && refusals > 0) {
    refusals--;
    errno = EAGAIN;
    return -1;
  }
  long arguments[6];
  va_list list;
  va_start(list, number);
  for (int i = 0; i < 6; i++)
    arguments[i] = va_arg(list, long);
  va_end(list);
  return real(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

TestSuite(beneath, .init = make_tree, .fini = remove_tree);

/* 0, where the opening gave a descriptor. */
static int closed(int file) {
  if (file < 0)
    return file;
  close(file);
  return 0;
}

static int opened(const char *directories, const char *path) {
  char absolute[2][1024];
  snprintf(absolute[0], sizeof absolute[0], directories, directory, directory);
  snprintf(absolute[1], sizeof absolute[1], path, directory);
  return closed(mcp_open_beneath(absolute[0], absolute[1], strlen(absolute[1])));
}

Test(beneath, files_below_alone) {
  cr_expect_eq(opened("%s/in", "%s/in/a"), 0);
  cr_expect_eq(opened("%s/in/", "%s/in//a"), 0);
  cr_expect_eq(opened("%s/in", "%s/in/sub/b"), 0);
  cr_expect_eq(opened("%s/in", "%s/in/./sub/../a"), 0);
  cr_expect_eq(opened("/nowhere:%s/in", "%s/in/a"), 0);
  cr_expect_eq(opened("/", "%s/in/a"), 0);
  cr_expect_eq(opened("%s/in:%s/out", "%s/out/secret"), 0);
  cr_expect_eq(opened("%s/in", "%s/in/none"), -ENOENT);
  cr_expect_eq(opened("%s/gone", "%s/gone/a"), -ENOENT);
  cr_expect_eq(opened("", "%s/in/a"), MCP_EPATH);
  cr_expect_eq(opened("%s/in", "%s/out/secret"), MCP_EPATH);
  cr_expect_eq(opened("%s/in", "%s/out/none"), MCP_EPATH, "the same as if it existed");
  cr_expect_eq(opened("%s/i", "%s/in/a"), MCP_EPATH);
  cr_expect_eq(opened("%s/in", "%s/in/../out/secret"), MCP_EPATH);
  cr_expect_eq(opened("%s/in", "in/a"), MCP_EPATH);
  cr_expect_eq(opened("%s/in", ""), MCP_EPATH);
}

Test(beneath, paths_that_are_none) {
  char path[512], *end = path + snprintf(path, sizeof path, "%s/in/a", directory);
  cr_expect_eq(closed(mcp_open_beneath(directory, path, (size_t)(end - path))), 0);
  cr_expect_eq(mcp_open_beneath(directory, path, (size_t)(end - path) + 1), MCP_EPATH, "a NUL in it");
  cr_expect_eq(mcp_open_beneath(directory, path, 0), MCP_EPATH);
  char *endless = malloc(100000);
  memset(endless, 'a', 100000);
  endless[0] = '/';
  cr_expect_eq(mcp_open_beneath("/", endless, 100000), MCP_EPATH);
  cr_expect_eq(mcp_open_beneath("/", endless, 4095), -ENAMETOOLONG);
  free(endless);
}

Test(beneath, regular_files_alone) {
  cr_expect_eq(opened("%s/in", "%s/in"), MCP_EPATH);
  cr_expect_eq(opened("%s/in", "%s/in/"), MCP_ENOTREGULAR);
  cr_expect_eq(opened("%s/in", "%s/in/sub"), MCP_ENOTREGULAR);
  cr_expect_eq(opened("%s/in", "%s/in/fifo"), MCP_ENOTREGULAR, "without waiting for who writes to it");
  cr_expect_eq(opened("/dev", "/dev/null"), MCP_ENOTREGULAR);
}

Test(beneath, links_lead_nowhere_else) {
  cr_expect_eq(opened("%s/in", "%s/in/to"), MCP_EPATH);
  cr_expect_eq(opened("%s/in", "%s/in/away/secret"), MCP_EPATH);
  cr_expect_eq(opened("%s/in", "%s/in/magic/etc/passwd"), MCP_EPATH);
  cr_expect_eq(opened("%s/in", "%s/in/loop"), MCP_EPATH);
}

Test(beneath, both_ways_agree_but_for_links_inside) {
  static const struct {
    const char *path;
    int resolved, walked;
  } cases[] = {{"a", 0, 0},
               {"sub/b", 0, 0},
               {"sub//b", 0, 0},
               {"none", -ENOENT, -ENOENT},
               {"inside", 0, -EXDEV},
               {"directory/b", 0, -EXDEV},
               {"sub/..", 0, -EXDEV},
               {"../out/secret", -EXDEV, -EXDEV},
               {"sub/../../out/secret", -EXDEV, -EXDEV},
               {"to", -EXDEV, -EXDEV},
               {"away/secret", -EXDEV, -EXDEV},
               {"magic/etc/passwd", -EXDEV, -EXDEV}};
  int in = open("in", O_PATH | O_DIRECTORY);
  int resolves = mcp__beneath_resolve(in, "a");
  bool known = closed(resolves) == 0; /* the kernel knows openat2 */
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    int resolved = closed(mcp__beneath_resolve(in, cases[i].path));
    cr_expect(!known || resolved == cases[i].resolved, "%s: %d", cases[i].path, resolved);
    int walked = closed(mcp__beneath_walk(in, cases[i].path));
    cr_expect_eq(walked, cases[i].walked, "%s: %d", cases[i].path, walked);
  }
  close(in);
  expect_no_leak();
}

/* The kernel says EAGAIN where something was renamed while it resolved a path. */
Test(beneath, renames_meanwhile_are_tried_again) {
  refusals = 10;
  cr_expect_eq(opened("%s/in", "%s/in/sub/../a"), 0);
  cr_expect_eq(refusals, 0);
  refusals = 1000000;
  cr_expect_eq(opened("%s/in", "%s/in/sub/../a"), -EAGAIN);
  cr_expect_gt(refusals, 990000, "the attempts have a limit");
}

/* It says the same of a file on which another process holds a lease. */
Test(beneath, a_file_under_a_lease) {
  int holder = open("in/a", O_RDWR | O_CLOEXEC);
  signal(SIGIO, SIG_IGN); /* the kernel asks for the lease */
  if (fcntl(holder, F_SETLEASE, F_WRLCK) != 0)
    cr_skip_test("no leases here: %s", strerror(errno));
  cr_expect_eq(opened("%s/in", "%s/in/a"), -EAGAIN);
  cr_expect_eq(opened("%s/in", "%s/in/sub/b"), 0);
  fcntl(holder, F_SETLEASE, F_UNLCK);
  cr_expect_eq(opened("%s/in", "%s/in/a"), 0);
  close(holder);
}
