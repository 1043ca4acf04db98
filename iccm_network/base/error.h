/* error.h: the texts of codes, and the reason behind a constructor's NULL. */
#ifndef MCP_ERROR_H
#define MCP_ERROR_H

#include "iccm_network.h"

/* Keeps the text for mcp_last_error() of this thread. */
void mcp__set_last_error(const char *format, ...) MCP_PRINTF(1, 2);

#endif
