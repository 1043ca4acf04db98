/* cmdline.c: the command line of a service, which is configured by environment variables.
 *
 * Happy path: no argument; the program continues. --help and --version print to stdout and exit with 0.
 * Anything else prints one line to stderr and exits with 2. Failure: if stdout cannot be written (full disk,
 * closed pipe), the exit status is 1, so that a script notices. */
#include "iccm_network.h"
#include "iccm_service.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_option(const char *argument, const char *shorter, const char *longer) {
  return strcmp(argument, shorter) == 0 || strcmp(argument, longer) == 0;
}

int mcp_service_command_line(int argc, char **argv, const char *name, const char *version, const char *help) {
  if (argc < 2) {
    mcp_env_check();
    return -1;
  }
  bool helps = is_option(argv[1], "-h", "--help");
  if (argc > 2 || (!helps && !is_option(argv[1], "-V", "--version"))) {
    fprintf(stderr, "%s: invalid arguments; see --help\n", name);
    return 2;
  }
  int written = helps ? fputs(help, stdout) : printf("%s %s\n", name, version);
  if (written >= 0 && fflush(stdout) == 0)
    return 0;
  fprintf(stderr, "%s: cannot write: %s\n", name, strerror(errno));
  return 1;
}
