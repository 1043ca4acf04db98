/* beneath.h: the two implementations of mcp_open_beneath() for the part of a path below the directory. */
#ifndef MCP_BENEATH_H
#define MCP_BENEATH_H

/* Opens with openat2(2) and RESOLVE_BENEATH. Returns a descriptor or a negative errno; -ENOSYS or -EPERM:
 * openat2 is not available. */
int mcp__beneath_resolve(int directory, const char *path);

/* Opens component by component without following symbolic links. -EXDEV: a component is a link or "..". */
int mcp__beneath_walk(int directory, const char *path);

#endif
