/* edit_distance.c: see edit_distance.h. */
#include "base/edit_distance.h"

enum { COMPARED_BYTES = 64 };

size_t mcp__edit_distance_indel(const char *a, size_t a_len, const char *b, size_t b_len) {
  /* lengths of the longest common subsequence with each prefix of b */
  size_t common[COMPARED_BYTES + 1] = {0};
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

static size_t min_of(size_t a, size_t b) {
  return a < b ? a : b;
}

static char to_lower(char letter) {
  return letter >= 'A' && letter <= 'Z' ? (char)(letter | 0x20) : letter;
}

size_t mcp__edit_distance_osa(const char *a, size_t a_len, const char *b, size_t b_len) {
  size_t rows[3]
             /* Distances from the prefixes of a, of which the last three are kept, to those of b. */
             [COMPARED_BYTES + 1];
  if (a_len > COMPARED_BYTES || b_len > COMPARED_BYTES)
    return SIZE_MAX;
  for (size_t i = 0; i <= a_len; i++) {
    size_t *row = rows[i % 3];
    const size_t *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
    for (size_t j = 0; j <= b_len; j++) {
      if (i == 0 || j == 0) {
        row[j] = i + j;
        continue;
      }
      row[j] =
          min_of(min_of(last[j], row[j - 1]) + 1, last[j - 1] + (to_lower(a[i - 1]) != to_lower(b[j - 1])));
      if (i > 1 && j > 1 && to_lower(a[i - 1]) == to_lower(b[j - 2]) &&
          to_lower(a[i - 2]) == to_lower(b[j - 1]))
        row[j] = min_of(row[j], before[j - 2] + 1);
    }
  }
  return rows[a_len % 3][b_len];
}
