/* library.h: what program.c asks the later library, without its header. */
#ifndef LIBRARY_H
#define LIBRARY_H

#include <stddef.h>

typedef struct sizes {
  size_t tool, allocator, call_options;
} sizes_t;
sizes_t library_sizes(void);

/* How many tools there are up to MCP_TOOL_END that leave the added member unset. */
size_t library_count(const void *tools);

#endif
