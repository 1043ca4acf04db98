/* peer_addr.h: what an address says about who is there; pure. */
#ifndef MCP_PEER_ADDR_H
#define MCP_PEER_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { MCP__PEER_NAME_SIZE = 64 };

/* Loopback, or a network that the internet does not route: RFC 1918, RFC 4193, link-local, RFC 6598. */
bool mcp__peer_is_private(const struct sockaddr *address);
bool mcp__peer_is_loopback(const struct sockaddr *address);
/* "192.0.2.1:80", "[::1]:80". */
void mcp__peer_name(const struct sockaddr *address, char name[MCP__PEER_NAME_SIZE]);
/* The same for all addresses that one peer is likely to have: of IPv6 those of a network of 64 bits. */
uint64_t mcp__peer_network(const struct sockaddr *address);

#endif
