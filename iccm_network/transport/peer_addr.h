/* peer_addr.h: classifies and formats the address of a peer; pure. */
#ifndef MCP_PEER_ADDR_H
#define MCP_PEER_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { MCP__PEER_NAME_SIZE = 64 };

/* Loopback, or a network that is not routed on the internet: RFC 1918, RFC 4193, link-local, RFC 6598. */
bool mcp__peer_is_private(const struct sockaddr *address);
bool mcp__peer_is_loopback(const struct sockaddr *address);
/* Formats an address: "192.0.2.1:80", "[::1]:80". */
void mcp__peer_name(const struct sockaddr *address, char name[MCP__PEER_NAME_SIZE]);
/* A key for all addresses that a peer is likely to own: the IPv4 address, or the /64 network of an IPv6
 * address. */
uint64_t mcp__peer_network(const struct sockaddr *address);

#endif
