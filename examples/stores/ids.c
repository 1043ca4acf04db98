/* ids.c: see ids.h. */
#include "ids.h"

static int hex(char digit) {
  return digit <= '9' ? digit - '0' : digit - 'a' + 10;
}

void id_to_bytes(const char *id, unsigned char bytes[ID_BYTES]) {
  for (int i = 0; i < ID_BYTES; i++, id += 2) {
    id += *id == '-';
    bytes[i] = (unsigned char)(hex(id[0]) << 4 | hex(id[1]));
  }
}

void id_from_bytes(const unsigned char *bytes, char id[MCP_UUID_SIZE]) {
  static const char digits[] = "0123456789abcdef";
  for (int i = 0; i < ID_BYTES; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10)
      *id++ = '-';
    *id++ = digits[bytes[i] >> 4];
    *id++ = digits[bytes[i] & 15];
  }
  *id = '\0';
}
