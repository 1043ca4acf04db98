/* text_redact.h: redacts secrets in text that is not valid JSON. */
#ifndef GODOT_TEXT_REDACT_H
#define GODOT_TEXT_REDACT_H

#include <iccm_network.h>
#include <stddef.h>

/* Returns a copy of text, allocated with malloc, in which "[REDACTED]" replaces each value that follows the
 * name of a secret (see mcp_redact()) and a colon or an equals sign, with or without quotes. This covers JSON
 * that is truncated or has invalid parts, printed Python and JavaScript objects, and name=value. Adds the
 * number of replaced values to *redacted. Returns NULL if out of memory. */
char *text_redact(const char *text, size_t len, size_t *out_len, size_t *redacted);

#endif
