/* library.c: what a later version sees of structs that were filled before it. Its header has the members
 * "added". */
#include "library.h"

#include "iccm_network.h"

sizes_t library_sizes(void) {
  return (sizes_t){sizeof(mcp_tool_t), sizeof(mcp_allocator_t), sizeof(mcp_call_options_t)};
}

size_t library_count(const void *tools) {
  size_t count = 0;
  for (const mcp_tool_t *tool = tools; tool->name != NULL && tool->added == NULL; tool++)
    count++;
  return count;
}

/* The others have the member, too. */
_Static_assert(offsetof(mcp_allocator_t, added) < offsetof(mcp_allocator_t, reserved),
               "it stands before what is left");
_Static_assert(offsetof(mcp_call_options_t, added) < offsetof(mcp_call_options_t, reserved),
               "it stands before what is left");
