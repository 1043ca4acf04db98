/* surrogates.h: replaces lone surrogates in JSON text; pure. */
#ifndef MCP_SURROGATES_H
#define MCP_SURROGATES_H

#include <stdbool.h>
#include <stddef.h>

/* Overwrites each escape of a lone surrogate in JSON text with \ufffd: a lone surrogate has no UTF-8 form,
 * but languages with UTF-16 strings may send one. replace_nul: overwrites \u0000 as well. The length is
 * unchanged. */
void mcp__replace_lone_surrogates(char *text, size_t len, bool replace_nul);

#endif
