/* test_peer_addr.c: both sides of each network's border, and names. */
#include "transport/peer_addr.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>

static struct sockaddr_storage address_of(const char *text) {
  struct sockaddr_storage storage = {0};
  struct sockaddr_in *four = (struct sockaddr_in *)&storage;
  struct sockaddr_in6 *six = (struct sockaddr_in6 *)&storage;
  if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(65535);
  } else {
    cr_assert_eq(inet_pton(AF_INET6, text, &six->sin6_addr), 1, "%s", text);
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(80);
  }
  return storage;
}

static bool is_private(const char *text) {
  struct sockaddr_storage storage = address_of(text);
  return mcp__peer_is_private((const struct sockaddr *)&storage);
}

Test(peer, loopback) {
  static const char *const here[] = {"127.0.0.0", "127.255.255.255", "::1", "::ffff:127.0.0.1"};
  static const char *const others[] = {
      "126.255.255.255", "128.0.0.0", "0.0.0.0", "10.0.0.1", "::", "::2", "fe80::1", "::ffff:10.0.0.1"};
  for (size_t i = 0; i < sizeof here / sizeof *here; i++) {
    struct sockaddr_storage storage = address_of(here[i]);
    cr_expect(mcp__peer_is_loopback((const struct sockaddr *)&storage), "%s", here[i]);
  }
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    struct sockaddr_storage storage = address_of(others[i]);
    cr_expect_not(mcp__peer_is_loopback((const struct sockaddr *)&storage), "%s", others[i]);
  }
}

Test(peer, borders) {
  static const struct {
    const char *address;
    bool is_private;
  } rows[] = {
      {"126.255.255.255", false},
      {"127.0.0.0", true},
      {"127.0.0.1", true},
      {"127.255.255.255", true},
      {"128.0.0.0", false},
      {"9.255.255.255", false},
      {"10.0.0.0", true},
      {"10.255.255.255", true},
      {"11.0.0.0", false},
      {"172.15.255.255", false},
      {"172.16.0.0", true},
      {"172.17.0.2", true},
      {"172.31.255.255", true},
      {"172.32.0.0", false},
      {"192.167.255.255", false},
      {"192.168.0.0", true},
      {"192.168.255.255", true},
      {"192.169.0.0", false},
      {"169.253.255.255", false},
      {"169.254.0.0", true},
      {"169.254.255.255", true},
      {"169.255.0.0", false},
      {"100.63.255.255", false},
      {"100.64.0.0", true},
      {"100.127.255.255", true},
      {"100.128.0.0", false},
      {"0.0.0.0", false},
      {"1.1.1.1", false},
      {"255.255.255.255", false},
      {"::", false},
      {"::1", true},
      {"::2", false},
      {"::127.0.0.1", false}, /* compatible, not mapped: deprecated, routed nowhere */
      {"::ffff:127.0.0.1", true},
      {"::ffff:126.255.255.255", false},
      {"::ffff:10.0.0.0", true},
      {"::ffff:9.255.255.255", false},
      {"::ffff:11.0.0.0", false},
      {"::ffff:172.31.255.255", true},
      {"::ffff:172.32.0.0", false},
      {"::ffff:192.168.0.1", true},
      {"::ffff:8.8.8.8", false},
      {"::fffe:127.0.0.1", false},
      {"64:ff9b::7f00:1", false}, /* translated to the IPv4 internet */
      {"fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
      {"fc00::", true},
      {"fd12:3456:789a::1", true},
      {"fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
      {"fe00::", false},
      {"fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
      {"fe80::", true},
      {"febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
      {"fec0::", false}, /* site-local: deprecated */
      {"ff02::1", false},
      {"2001:db8::1", false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    cr_expect_eq(is_private(rows[i].address), rows[i].is_private, "%s", rows[i].address);
}

Test(peer, names) {
  static const struct {
    const char *address, *name;
  } rows[] = {
      {"192.0.2.1", "192.0.2.1:65535"},
      {"255.255.255.255", "255.255.255.255:65535"},
      {"::1", "[::1]:80"},
      {"::ffff:192.0.2.1", "[::ffff:192.0.2.1]:80"},
      {"2001:db8:1111:2222:3333:4444:5555:6666", "[2001:db8:1111:2222:3333:4444:5555:6666]:80"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct sockaddr_storage storage = address_of(rows[i].address);
    char name[MCP__PEER_NAME_SIZE];
    mcp__peer_name((const struct sockaddr *)&storage, name);
    cr_expect_str_eq(name, rows[i].name);
  }
}
