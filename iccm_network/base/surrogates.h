/* surrogates.h: escapes in JSON text that stand for no character. */
#ifndef MCP_SURROGATES_H
#define MCP_SURROGATES_H

#include <stdbool.h>
#include <stddef.h>

/* Writes U+FFFD over each surrogate in JSON text, as an escape, that lacks its other half: no UTF-8 stands
 * for it, though the language that the text comes from may have it in its strings. Over \u0000, too, where
 * that is wanted. The length stays. */
void mcp__replace_lone_surrogates(char *text, size_t len, bool replace_nul);

#endif
