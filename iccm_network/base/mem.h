/* mem.h: the library's allocator; nothing else calls malloc, realloc or free. */
#ifndef MCP_MEM_H
#define MCP_MEM_H

#include "iccm_network.h"

void *mcp__malloc(size_t size);
void *mcp__calloc(size_t size); /* zeroed */
void *mcp__realloc(void *memory, size_t size);
void mcp__free(void *memory); /* NULL is fine */
char *mcp__strdup(const char *text);

extern const yyjson_alc mcp__json_alc; /* the same allocator for yyjson */

#endif
