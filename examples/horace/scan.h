/* scan.h: the command scan, which registers files of the storage that the catalogue does not know. */
#ifndef HORACE_SCAN_H
#define HORACE_SCAN_H

/* argv[0] is "scan". The status to end with: 0; 1: the storage or Horace cannot be reached, or some file
 * could not be registered, which stderr says; 2: wrong arguments. */
int scan_main(int argc, char **argv);

#endif
