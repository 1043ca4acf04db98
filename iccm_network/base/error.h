/* error.h: the error message of the last failed constructor, by thread. */
#ifndef MCP_ERROR_H
#define MCP_ERROR_H

#include "iccm_network.h"

/* Sets the text that mcp_last_error() returns in this thread. */
void mcp__set_last_error(const char *format, ...) MCP_PRINTF(1, 2);

#endif
