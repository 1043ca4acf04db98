/* peer_addr.c: see peer_addr.h. */
#include "transport/peer_addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static bool ipv4_is_private(uint32_t address) {
  static const struct {
    uint32_t network;
    int bits;
  } networks[] = {{0x7f000000, 8},   /* 127.0.0.0/8 */
                  {0x0a000000, 8},   /* 10.0.0.0/8 */
                  {0xac100000, 12},  /* 172.16.0.0/12 */
                  {0xc0a80000, 16},  /* 192.168.0.0/16 */
                  {0xa9fe0000, 16},  /* 169.254.0.0/16, link-local */
                  {0x64400000, 10}}; /* 100.64.0.0/10, shared address space */
  for (size_t i = 0; i < sizeof networks / sizeof *networks; i++)
    if ((address ^ networks[i].network) >> (32 - networks[i].bits) == 0)
      return true;
  return false;
}

bool mcp__peer_is_private(const struct sockaddr *address) {
  if (address->sa_family == AF_INET)
    return ipv4_is_private(ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr));
  const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
  if (IN6_IS_ADDR_V4MAPPED(six)) {
    uint32_t four;
    memcpy(&four, six->s6_addr + 12, 4);
    return ipv4_is_private(ntohl(four));
  }
  return IN6_IS_ADDR_LOOPBACK(six) || IN6_IS_ADDR_LINKLOCAL(six) || (six->s6_addr[0] & 0xfe) == 0xfc;
}

bool mcp__peer_is_loopback(const struct sockaddr *address) {
  if (address->sa_family == AF_INET)
    return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 == 127;
  const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
}

void mcp__peer_name(const struct sockaddr *address, char name[MCP__PEER_NAME_SIZE]) {
  char host[INET6_ADDRSTRLEN] = "?";
  if (address->sa_family == AF_INET) {
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;
    inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
    snprintf(name, MCP__PEER_NAME_SIZE, "%s:%d", host, ntohs(four->sin_port));
  } else {
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;
    inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
    snprintf(name, MCP__PEER_NAME_SIZE, "[%s]:%d", host, ntohs(six->sin6_port));
  }
}

uint64_t mcp__peer_network(const struct sockaddr *address) {
  uint64_t network = 0;
  if (address->sa_family == AF_INET)
    memcpy(&network, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
  else
    memcpy(&network, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 8);
  return network;
}
