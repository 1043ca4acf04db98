/* scan.h: the command scan, which registers the files that are missing in the catalogue. */
#ifndef HORACE_SCAN_H
#define HORACE_SCAN_H

/* argv[0] is "scan". Returns the exit status: 0; 1 if the storage or Horace is unavailable or a file could
 * not be registered (named on stderr); 2 for invalid arguments. */
int scan_main(int argc, char **argv);

#endif
