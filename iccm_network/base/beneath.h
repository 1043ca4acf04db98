/* beneath.h: the two ways in which mcp_open_beneath() opens the part of a path that is below a directory. */
#ifndef MCP_BENEATH_H
#define MCP_BENEATH_H

/* By the kernel's own rule. A descriptor, or as open(2) says; -ENOSYS or -EPERM: there is no such rule here.
 */
int mcp__beneath_resolve(int directory, const char *path);

/* Step by step, following no link at all; -EXDEV: one of them is a link, or "..". */
int mcp__beneath_walk(int directory, const char *path);

#endif
