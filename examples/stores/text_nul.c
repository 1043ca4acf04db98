/* text_nul.c: see text_nul.h. */
#include "text_nul.h"

#include <stdlib.h>
#include <string.h>

bool text_has_nul(mcp_text_t text) {
  return text.ptr != NULL && memchr(text.ptr, '\0', text.len) != NULL;
}

char *text_replace_nul(mcp_text_t *text) {
  char *copy = malloc(text->len * 3), *out = copy;
  if (copy == NULL)
    return NULL;
  for (size_t i = 0; i < text->len; i++) {
    if (text->ptr[i] != '\0') {
      *out++ = text->ptr[i];
    } else {
      memcpy(out, "\xEF\xBF\xBD", 3);
      out += 3;
    }
  }
  *text = (mcp_text_t){copy, (size_t)(out - copy)};
  return copy;
}

size_t json_replace_nul(char *json, size_t len) {
  size_t out = 0;
  for (size_t i = 0; i < len;) {
    if (json[i] != '\\') {
      json[out++] = json[i++];
    } else if (len - i >= 6 && memcmp(json + i, "\\u0000", 6) == 0) {
      memcpy(json + out, "\xEF\xBF\xBD", 3);
      out += 3;
      i += 6;
    } else {
      json[out++] = json[i++];
      json[out++] = json[i++];
    }
  }
  return out;
}

size_t text_json_bytes(mcp_text_t text, bool twice) {
  size_t quotes = 0, shorts = 0, controls = 0;
  for (size_t i = 0; i < text.len; i++) {
    unsigned char c = (unsigned char)text.ptr[i];
    if (c == '"' || c == '\\')
      quotes++;
    else if (c == '\b' || c == '\f' || c == '\n' || c == '\r' || c == '\t')
      shorts++;
    else if (c < 0x20)
      controls++;
  }
  return text.len + (twice ? 3 * quotes + 2 * shorts + 6 * controls : quotes + shorts + 5 * controls);
}
