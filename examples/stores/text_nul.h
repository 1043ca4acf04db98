/* text_nul.h: texts on their way into the store and out of it. NUL becomes U+FFFD, since not every database
 * can store it. */
#ifndef STORES_TEXT_NUL_H
#define STORES_TEXT_NUL_H

#include "stores.h"

bool text_has_nul(mcp_text_t text);

/* Makes a copy without NUL, which *text is then; to be freed. NULL: no memory, *text is as it was. */
char *text_replace_nul(mcp_text_t *text);

/* Replaces each NUL in JSON text, where it can only be written as \u0000. The new length, which is less. */
size_t json_replace_nul(char *json, size_t len);

/* Bytes of a text as JSON, once or, for JSON inside of a JSON text, twice: a quote becomes \" and then \\\".
 */
size_t text_json_bytes(mcp_text_t text, bool twice);

#endif
