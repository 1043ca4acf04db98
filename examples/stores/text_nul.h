/* text_nul.h: NUL in texts and JSON. It is replaced by U+FFFD, since not every database can store it. */
#ifndef STORES_TEXT_NUL_H
#define STORES_TEXT_NUL_H

#include "stores.h"

bool text_has_nul(mcp_text_t text);

/* Sets *text to a copy with each NUL replaced and returns that copy, to be freed. Returns NULL if out of
 * memory, with *text unchanged. */
char *text_replace_nul(mcp_text_t *text);

/* Replaces each NUL, written \u0000 in JSON. Returns the new length, which is not larger. */
size_t json_replace_nul(char *json, size_t len);

/* Returns the length of a text once it is escaped in JSON, or escaped twice for JSON inside a JSON string:
 * a quote becomes \" and then \\\". */
size_t text_json_bytes(mcp_text_t text, bool twice);

#endif
