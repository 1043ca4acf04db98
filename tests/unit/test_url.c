/* test_url.c: addresses as people write them, and as they should not. */
#include "transport/url.h"

#include "iccm_network.h"
#include "base/mem.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* A zone is for connecting alone. */
Test(url, zones) {
  static const char *const rows[][2] = {
      {"ws://[fe80::1%25eth0]:9060/", "fe80::1%eth0"},
      {"[fe80::1%eth0]", "fe80::1%eth0"},
      {"ws://[fe80::1%253]/%25a", "fe80::1%3"},
      {"ws://[::1%25lo.5]:1", "::1%lo.5"},
      {"ws://[::1%2]:1", "::1%2"},
      {"[::1]:1", "::1"},
      {"[fe80::1%40]:1", "fe80::1%40"},
      {"a%25b:1", "a%25b"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mcp__url_t url;
    char problem[200] = "";
    cr_assert_eq(mcp__url_parse(rows[i][0], &url, problem, sizeof problem), 0, "%s: %s", rows[i][0], problem);
    cr_expect_str_eq(url.address, rows[i][1]);
    cr_expect(*url.host == 'a' || (strchr(url.host, '%') == NULL && strchr(url.authority, '%') == NULL), "%s",
              url.authority);
  }
  static const char *const bad[] = {"[fe80::1%]:1", "[fe80::1%25]:1", "ws://[::1%"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    mcp__url_t url;
    char problem[200] = "";
    cr_expect_eq(mcp__url_parse(bad[i], &url, problem, sizeof problem), MCP_EURL, "%s", bad[i]);
  }
}

Test(url, good_ones) {
  static const struct {
    const char *text, *host;
    int port;
    const char *authority, *path;
  } rows[] = {
      {"ws://localhost:9060", "localhost", 9060, "localhost:9060", "/"},
      {"ws://localhost:9060/", "localhost", 9060, "localhost:9060", "/"},
      {"ws://localhost:9060/a/b", "localhost", 9060, "localhost:9060", "/a/b"},
      {"ws://localhost", "localhost", 80, "localhost:80", "/"},
      {"ws://localhost/", "localhost", 80, "localhost:80", "/"},
      {"WS://localhost", "localhost", 80, "localhost:80", "/"},
      {"Ws://Host.Example", "Host.Example", 80, "Host.Example:80", "/"},
      {"localhost", "localhost", 80, "localhost:80", "/"},
      {"[fe80::1%40]:81", "fe80::1", 81, "[fe80::1]:81", "/"},
      {"ws://host/a@b%40c", "host", 80, "host:80", "/a@b%40c"},
      {"localhost:9020", "localhost", 9020, "localhost:9020", "/"},
      {"localhost:9020/mcp", "localhost", 9020, "localhost:9020", "/mcp"},
      {"localhost/mcp", "localhost", 80, "localhost:80", "/mcp"},
      {"dewey-mcp:9020", "dewey-mcp", 9020, "dewey-mcp:9020", "/"},
      {"a_b:1", "a_b", 1, "a_b:1", "/"},
      {"ws", "ws", 80, "ws:80", "/"},
      {"ws:80", "ws", 80, "ws:80", "/"},
      {"host:65535", "host", 65535, "host:65535", "/"},
      {"host:1", "host", 1, "host:1", "/"},
      {"host:00080", "host", 80, "host:80", "/"},
      {"127.0.0.1:80", "127.0.0.1", 80, "127.0.0.1:80", "/"},
      {"ws://192.168.1.200:8000/stream", "192.168.1.200", 8000, "192.168.1.200:8000", "/stream"},
      {"[::1]", "::1", 80, "[::1]:80", "/"},
      {"[::1]:9060", "::1", 9060, "[::1]:9060", "/"},
      {"ws://[::1]:9060/x", "::1", 9060, "[::1]:9060", "/x"},
      {"ws://[fe80::1%eth0]:80", "fe80::1", 80, "[fe80::1]:80", "/"},
      {"ws://[::ffff:10.0.0.1]", "::ffff:10.0.0.1", 80, "[::ffff:10.0.0.1]:80", "/"},
      {"ws://[2001:db8::1]?x", "2001:db8::1", 80, "[2001:db8::1]:80", "/?x"},
      {"host?x=1", "host", 80, "host:80", "/?x=1"},
      {"host:81?x=1", "host", 81, "host:81", "/?x=1"},
      {"host/p?x=1&y=2", "host", 80, "host:80", "/p?x=1&y=2"},
      {"host/p#part", "host", 80, "host:80", "/p"},
      {"host#part", "host", 80, "host:80", "/"},
      {"host:81#part", "host", 81, "host:81", "/"},
      {"host?x#part", "host", 80, "host:80", "/?x"},
      {"host//", "host", 80, "host:80", "//"},
      {"host/a:b@c", "host", 80, "host:80", "/a:b@c"},
      {"host/[x]", "host", 80, "host:80", "/[x]"},
      {"ws://host/?to=ws://other:1/", "host", 80, "host:80", "/?to=ws://other:1/"},
      {"host/?to=ws://other:1/", "host", 80, "host:80", "/?to=ws://other:1/"},
      {"host:9000/http://x", "host", 9000, "host:9000", "/http://x"},
      {"host#http://x", "host", 80, "host:80", "/"},
      {"host/%20%C3%A4", "host", 80, "host:80", "/%20%C3%A4"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mcp__url_t url;
    char problem[300] = "";
    memset(&url, 0xee, sizeof url);
    cr_assert_eq(mcp__url_parse(rows[i].text, &url, problem, sizeof problem), 0, "%s: %s", rows[i].text,
                 problem);
    cr_expect_str_eq(url.host, rows[i].host, "%s", rows[i].text);
    cr_expect_eq(url.port, rows[i].port, "%s: %d", rows[i].text, url.port);
    cr_expect_str_eq(url.authority, rows[i].authority, "%s", rows[i].text);
    cr_expect_str_eq(url.path, rows[i].path, "%s: %s", rows[i].text, url.path);
  }
}

Test(url, in_tls_or_not) {
  static const struct {
    const char *text;
    bool tls;
    int port;
  } rows[] = {{"wss://host", true, 443},  {"WSS://host:9060/x", true, 9060},
              {"wss://[::1]", true, 443}, {"wss:443", false, 443},
              {"wss", false, 80},         {"host/wss://x", false, 80}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mcp__url_t url = {.tls = !rows[i].tls};
    char problem[300];
    cr_assert_eq(mcp__url_parse(rows[i].text, &url, problem, sizeof problem), 0, "%s", problem);
    cr_expect_eq(url.tls, rows[i].tls, "%s", rows[i].text);
    cr_expect_eq(url.port, rows[i].port, "%s: %d", rows[i].text, url.port);
  }
}

#define FORM "not an address of the form ws://host:port/path"
#define SCHEME "the scheme must be ws://, wss://, http:// or https://"
#define HOST "the host name is missing or too long (put an IPv6 address in brackets)"
#define PORT "the port must be a number from 1 to 65535"
#define USER "a user name or password does not belong in the address"
#define PATH "invalid or too long path after the host"

Test(url, bad_ones) {
  static const struct {
    const char *text, *problem;
  } rows[] = {
      {"", HOST},
      {"ws://", HOST},
      {"ws:///path", HOST},
      {"ws://:80", HOST},
      {"/path", HOST},
      {":80", HOST},
      {"://host", SCHEME},
      {"ftp://host", SCHEME},
      {"httpx://host:443/", SCHEME},
      {"w://host", SCHEME},
      {"xws://host", SCHEME},
      {"ws2://host", SCHEME},
      {"wsss://host", SCHEME},
      {"host:", PORT},
      {"host:/", PORT},
      {"host:0", PORT},
      {"host:65536", PORT},
      {"host:99999", PORT},
      {"host:100000", PORT},
      {"host:000080", PORT},
      {"host:4294967376", PORT},
      {"host:-1", PORT},
      {"host:+80", PORT},
      {"host:80a", PORT},
      {"host:a", PORT},
      {"host:80:81", PORT},
      {"host:8 0", FORM},
      {"::1", HOST},
      {"ws://::1:9060", HOST},
      {"fe80::1", PORT},
      {"2001:db8::1", PORT},
      {"[]", HOST},
      {"[::1", HOST},
      {"[::1/x]", HOST},
      {"ws://[::1/]:80", HOST},
      {"[localhost]:80", HOST},
      {"[::1]x", PATH},
      {"[::1]]", PATH},
      {"[::1]:", PORT},
      {"[::1]:x", PORT},
      {"ws://@host", USER},
      {" host", FORM},
      {"host ", FORM},
      {"ho st", FORM},
      {"host\n", FORM},
      {"host/\r\nX-Evil: 1", FORM},
      {"host/\t", FORM},
      {"host/\x7f", FORM},
      {"h\xc3\xb6st", FORM},
      {"host/\xff", FORM},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mcp__url_t url;
    char problem[400] = "", expected[400];
    snprintf(expected, sizeof expected, "\"%s\": %s", rows[i].text, rows[i].problem);
    cr_expect_eq(mcp__url_parse(rows[i].text, &url, problem, sizeof problem), MCP_EURL, "%s", rows[i].text);
    cr_expect_str_eq(problem, expected, "%s\n%s", problem, expected);
  }
}

Test(url, secrets_are_not_shown) {
  static const struct {
    const char *text, *problem;
  } rows[] = {
      {"user@host", "\"[REDACTED]@host\": " USER},
      {"ws://user:hunter2@host:80/", "\"ws://[REDACTED]@host:80/\": " USER},
      {"ws://user:hun/ter2@host:80/", "\"ws://[REDACTED]@host:80/\": " PORT},
      {"http://user:hunter2@host", "\"http://[REDACTED]@host\": " USER},
      {"ftp://user:hunter2@host", "\"ftp://[REDACTED]@host\": " SCHEME},
      {"ws://host:0/?token=hunter2", "\"ws://host:0/?[REDACTED]\": " PORT},
      {"ws://?x", "\"ws://?[REDACTED]\": " HOST},
      {"[a?b]", "\"[a?[REDACTED]\": " HOST},
      {"ws://user:hunter2%40host", "\"ws://[REDACTED]%40host\": " USER},
      {"ws://hunter2%40host:80", "\"ws://[REDACTED]%40host:80\": " USER},
      {"ws://user:hunter2%2540host:80", "\"ws://[REDACTED]%2540host:80\": " USER},
      {"ws://user:hun?ter2@host:80/", "\"ws://[REDACTED]\": " PORT},
      {"ws://host:0/?a=hunter2@hunter2", "\"ws://[REDACTED]\": " PORT},
      {"user:hunter2@ws://host", "\"[REDACTED]@ws://host\": " USER},
      {"ws://host:0/#hunter2", "\"ws://host:0/#[REDACTED]\": " PORT},
      {"ws://host:0/token=hunter2", "\"ws://host:0/token=[REDACTED]\": " PORT},
      {"ws://host:0/?", "\"ws://host:0/?\": " PORT},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mcp__url_t url;
    char problem[400] = "";
    cr_expect_eq(mcp__url_parse(rows[i].text, &url, problem, sizeof problem), MCP_EURL, "%s", rows[i].text);
    cr_expect_str_eq(problem, rows[i].problem, "%s", problem);
  }
}

/* The hosts of a list in a row, with the paths where these are no mere "/"; or the problem. */
static void expect_list(const char *list, const char *wanted) {
  char problem[300] = "", all[1024] = "";
  mcp__url_t *urls;
  unsigned count;
  int status = mcp__urls_parse(list, &urls, &count, problem, sizeof problem);
  for (unsigned i = 0; status == 0 && i < count; i++) {
    strcat(all, i > 0 ? " " : "");
    strcat(strcat(all, urls[i].authority), urls[i].path + (urls[i].path[1] == '\0'));
  }
  cr_expect(status == 0 || (status == MCP_EURL && urls == NULL));
  cr_expect_str_eq(status == 0 ? all : problem, wanted, "%s: %s", list, status == 0 ? all : problem);
  mcp__free(urls);
}

Test(url, lists) {
  expect_list("ws://a:1", "a:1");
  expect_list("ws://a:1,ws://b:2", "a:1 b:2");
  expect_list("a:1,b", "a:1 b:80");
  expect_list("a:1 ,\t wss://[::1]:2,127.0.0.1:3", "a:1 [::1]:2 127.0.0.1:3");
  expect_list("ws://a/p,q?x=1,2", "a:80/p,q?x=1,2");
  expect_list("ws://a/p,q, ws://b/r,WSS://c", "a:80/p,q b:80/r c:443");
  expect_list("a?x=1,2,b:1", "a:80/?x=1,2,b:1"); /* b:1 might as well be the query's */
  expect_list("a,b/p,q", "a:80 b:80/p,q");
  expect_list("1,2,3,4,5,6,7,8", "1:80 2:80 3:80 4:80 5:80 6:80 7:80 8:80");
  expect_list("1,2,3,4,5,6,7,8,9", "more than 8 addresses");
  expect_list("", "\"\": " HOST);
  expect_list("a,", "\"\": " HOST);
  expect_list(",a", "\"\": " HOST);
  expect_list("a,,b", "\"\": " HOST);
  expect_list("a,ftp://b", "\"ftp://b\": " SCHEME);
  expect_list("a,http://b,https://c/p,q,HTTP://d/", "a:80 b:80/mcp c:443/p,q d:80");
  expect_list(" a", "\" a\": " FORM);
  expect_list("a b,c", "\"a b\": " FORM);
  static char long_one[5000];
  memset(long_one, 'x', sizeof long_one - 1);
  memcpy(long_one, "a,b/", 4);
  mcp__url_t *urls;
  unsigned count;
  char problem[300];
  cr_expect_eq(mcp__urls_parse(long_one, &urls, &count, problem, sizeof problem), MCP_EURL);
  cr_expect_null(urls);
}

Test(url, http) {
  static const struct {
    const char *text;
    bool http, tls;
    int port;
    const char *path;
  } rows[] = {
      {"http://host", true, false, 80, "/mcp"},
      {"HTTPS://host:8443", true, true, 8443, "/mcp"},
      {"https://host/", true, true, 443, "/"},
      {"http://host?x=1", true, false, 80, "/mcp?x=1"},
      {"http://host/a/b?x", true, false, 80, "/a/b?x"},
      {"http:80", false, false, 80, "/"},
      {"http", false, false, 80, "/"},
      {"wss://host", false, true, 443, "/"},
      {"host/http://", false, false, 80, "/http://"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mcp__url_t url;
    char problem[200] = "";
    cr_assert_eq(mcp__url_parse(rows[i].text, &url, problem, sizeof problem), 0, "%s", problem);
    cr_expect(url.http == rows[i].http && url.tls == rows[i].tls && url.port == rows[i].port, "%s",
              rows[i].text);
    cr_expect_str_eq(url.path, rows[i].path);
  }
}

Test(url, none) {
  mcp__url_t url;
  char problem[100];
  cr_expect_eq(mcp__url_parse(NULL, &url, problem, sizeof problem), MCP_EURL);
  cr_expect_str_eq(problem, "\"\": " FORM);
}

Test(url, lengths) {
  static char text[3000];
  mcp__url_t url;
  char problem[64]; /* shorter than the text: cut */
  for (int len = MCP__URL_HOST_SIZE - 3; len < MCP__URL_HOST_SIZE + 3; len++) {
    snprintf(text, sizeof text, "ws://%0*d:65535", len, 0);
    int status = mcp__url_parse(text, &url, problem, sizeof problem);
    cr_expect_eq(status, len < MCP__URL_HOST_SIZE ? 0 : MCP_EURL, "host of %d bytes", len);
    cr_expect(status != 0 || (strlen(url.host) == (size_t)len && strlen(url.authority) == (size_t)len + 6));
    cr_expect(status == 0 || strlen(problem) == sizeof problem - 1);
  }
  memset(text, ':', sizeof text);
  snprintf(text + MCP__URL_HOST_SIZE, 20, "]:65535");
  text[0] = '[';
  cr_expect_eq(mcp__url_parse(text, &url, problem, sizeof problem), 0);
  cr_expect_eq(strlen(url.authority), MCP__URL_HOST_SIZE - 1 + 2 + 6);
  for (int len = 1; len < 2000; len++) {
    bool long_one = len > MCP__URL_PATH_SIZE - 2;
    snprintf(text, sizeof text, "h/%0*d", len - 1, 0);
    text[len + 1] = '\0';
    cr_expect_eq(mcp__url_parse(text, &url, problem, sizeof problem), long_one ? MCP_EURL : 0, "path of %d",
                 len);
    cr_expect(long_one || strcmp(url.path, text + 1) == 0);
    text[1] = '?';
    cr_expect_eq(mcp__url_parse(text, &url, problem, sizeof problem), long_one ? MCP_EURL : 0, "query of %d",
                 len);
    cr_expect(long_one || (url.path[0] == '/' && strcmp(url.path + 1, text + 1) == 0));
  }
}
