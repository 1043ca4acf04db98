/* names.c: see names.h. */
#include "names.h"

enum { COMPARED_BYTES = 64 };

size_t mcp__names_distance(const char *a, size_t a_len, const char *b, size_t b_len) {
  size_t common[COMPARED_BYTES + 1] = {0}; /* the longest common subsequence with each beginning of b */
  a_len = a_len < COMPARED_BYTES ? a_len : COMPARED_BYTES;
  b_len = b_len < COMPARED_BYTES ? b_len : COMPARED_BYTES;
  for (size_t i = 0; i < a_len; i++) {
    size_t diagonal = 0;
    for (size_t j = 1; j <= b_len; j++) {
      size_t above = common[j];
      if (a[i] == b[j - 1])
        common[j] = diagonal + 1;
      else if (common[j - 1] > above)
        common[j] = common[j - 1];
      diagonal = above;
    }
  }
  return a_len + b_len - 2 * common[b_len];
}
