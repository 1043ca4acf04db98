/* text_redact.h: secrets in text that is no JSON. */
#ifndef GODOT_TEXT_REDACT_H
#define GODOT_TEXT_REDACT_H

#include <iccm_network.h>
#include <stddef.h>

/* A copy of text, malloc's, in which "[REDACTED]" replaces what stands behind a secret's name (as
 * mcp_redact() knows them) and a colon or =, with or without quotes: JSON that is cut off or has something
 * else in it that JSON does not know, what Python or JavaScript print of an object, name=value. Adds to
 * *redacted how many were replaced. NULL: no memory. */
char *text_redact(const char *text, size_t len, size_t *out_len, size_t *redacted);

#endif
