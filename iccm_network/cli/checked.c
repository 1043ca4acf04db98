/* checked.c: see checked.h. */
#include "checked.h"

#include <unistd.h>

void *checked(void *memory) {
  static const char message[] = "iccm: out of memory\n";
  if (memory == NULL) { /* UNTESTED: needs memory to run out */
    (void)!write(STDERR_FILENO, message, sizeof message - 1);
    _exit(1);
  }
  return memory;
}
