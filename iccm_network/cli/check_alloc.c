/* check_alloc.c: see check_alloc.h. */
#include "check_alloc.h"

#include <unistd.h>

void *check_alloc(void *memory) {
  static const char message[] = "iccm: out of memory\n";
  if (memory == NULL) { /* UNTESTED: needs memory to run out */
    (void)!write(STDERR_FILENO, message, sizeof message - 1);
    _exit(1);
  }
  return memory;
}
