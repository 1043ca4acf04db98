/* cmdline.c: the command line of a service, whose settings come from the environment.
 *
 * Happy path: no argument at all, and the program goes on. --help and --version are said on stdout and end it
 * with 0; anything else ends it with 2 and one line on stderr. Failure: a stdout that takes nothing (a full
 * disk, a closed pipe) ends it with 1, so that a script does not take silence for an answer. */
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
    fprintf(stderr, "%s: wrong arguments; --help says what there is\n", name);
    return 2;
  }
  int written = helps ? fputs(help, stdout) : printf("%s %s\n", name, version);
  if (written >= 0 && fflush(stdout) == 0)
    return 0;
  fprintf(stderr, "%s: cannot write: %s\n", name, strerror(errno));
  return 1;
}
