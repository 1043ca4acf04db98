/* content.h: whether the blocks of a result's content are what MCP says; pure. */
#ifndef MCP_CONTENT_H
#define MCP_CONTENT_H

#include "base/mem.h"

/* content: an array of blocks of the types text, image, audio, resource_link and resource. false: problem
 * names the first place that is wrong, as a JSON Pointer, and what is expected there. */
bool mcp__content_check(yyjson_mut_val *content, char *problem, size_t problem_size);

#endif
