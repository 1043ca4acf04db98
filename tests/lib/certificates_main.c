/* Creates the files of certificates.h: certificates DIR */
#include "certificates.h"

int main(int argc, char **argv) {
  if (argc != 2)
    return 2;
  make_certificates(argv[1]);
  return 0;
}
