/* peer.h: what an address says about who is there; pure. */
#ifndef MCP_PEER_H
#define MCP_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum { MCP__PEER_NAME_SIZE = 64 };

/* Loopback, or a network that the internet does not route: RFC 1918, RFC 4193, link-local, RFC 6598. */
bool mcp__peer_is_private(const struct sockaddr *address);
/* "192.0.2.1:80", "[::1]:80". */
void mcp__peer_name(const struct sockaddr *address, char name[MCP__PEER_NAME_SIZE]);

#endif
