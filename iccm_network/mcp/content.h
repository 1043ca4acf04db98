/* content.h: validates the content blocks of a result; pure. */
#ifndef MCP_CONTENT_H
#define MCP_CONTENT_H

#include "base/mem.h"

/* content: an array of blocks of the types text, image, audio, resource_link and resource. Returns false for
 * the first invalid block; problem is then its JSON Pointer and the expected value. */
bool mcp__content_check(yyjson_mut_val *content, char *problem, size_t problem_size);

#endif
