/* excerpt.c: see excerpt.h. */
#include "base/excerpt.h"

#include "iccm_network.h"
#include "iccm_service.h"

#include <string.h>

void mcp__excerpt(char out[MCP__EXCERPT_SIZE], const char *text, size_t len) {
  static const char ellipsis[] = "…";
  char shown[MCP_PRINTABLE_SIZE];
  size_t at = 0, end = 0;
  while (at < len) {
    size_t used = mcp_printable_next(text + at, len - at, shown), bytes = strlen(shown);
    if (end + bytes + sizeof ellipsis > MCP__EXCERPT_SIZE) {
      memcpy(out + end, ellipsis, sizeof ellipsis);
      return;
    }
    memcpy(out + end, shown, bytes);
    end += bytes;
    at += used;
  }
  out[end] = '\0';
}
