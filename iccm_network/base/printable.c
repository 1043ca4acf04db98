/* printable.c: makes received text safe for a terminal, character by character.
 *
 * Happy path: a valid UTF-8 character that a terminal can display is unchanged. Failure: control characters
 * (C0, DEL, C1), characters that reorder text or end a line, and invalid bytes (RFC 3629) become escapes,
 * each one separately. So no text can move the cursor, set the title, forge a line or hide a part of itself.
 */
#include "iccm_network.h"
#include "iccm_service.h"

#include <stdio.h>
#include <string.h>

enum { INVALID = 0x110000 };

static size_t decode(const unsigned char *text, size_t len, uint32_t *code) {
  static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  size_t need = text[0] < 0x80 ? 1 : text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : text[0] >= 0xc2 ? 2 : 0;
  *code = INVALID;
  if (need == 0 || need > len || text[0] > 0xf4)
    return 1;
  uint32_t value = need == 1 ? text[0] : text[0] & (0x7fu >> need);
  for (size_t i = 1; i < need; i++) {
    if ((text[i] & 0xc0) != 0x80)
      return 1;
    value = value << 6 | (text[i] & 0x3f);
  }
  if (value < smallest[need] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
    return 1;
  *code = value;
  return need;
}

/* Unicode's Bidi_Control, and the line and paragraph separators. */
static bool reorders(uint32_t code) {
  return code == 0x061c || code == 0x200e || code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069);
}

static bool is_unsafe(uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code <= 0x9f) || reorders(code) || code == INVALID;
}

static void escape(uint32_t code, unsigned char byte, char shown[MCP_PRINTABLE_SIZE]) {
  if (code == '\n' || code == '\t' || code == '\r')
    snprintf(shown, MCP_PRINTABLE_SIZE, "\\%c", code == '\n' ? 'n' : code == '\t' ? 't' : 'r');
  else if (code == INVALID)
    snprintf(shown, MCP_PRINTABLE_SIZE, "\\x%02x", (unsigned)byte);
  else
    snprintf(shown, MCP_PRINTABLE_SIZE, "\\u%04x", (unsigned)code & 0xffff);
}

size_t mcp_printable_next(const char *text, size_t len, char shown[MCP_PRINTABLE_SIZE]) {
  uint32_t code;
  size_t used = decode((const unsigned char *)text, len, &code);
  if (is_unsafe(code)) {
    escape(code, (unsigned char)text[0], shown);
  } else {
    memcpy(shown, text, used);
    shown[used] = '\0';
  }
  return used;
}
