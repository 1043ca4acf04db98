/* test_origins.c: which pages may ask: each kind of name in Host, each kind of Origin, with lists and
 * without. */
#include "transport/origins.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define UPGRADE                                                                                              \
  "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"                               \
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static mcp__origins_t admitted; /* by the test */
static bool tls;

/* NULL, or why a request is refused. */
static const char *problem_of(const char *request) {
  mcp__head_t head;
  size_t used;
  cr_assert_eq(mcp__head_init(&head, true), 0);
  cr_assert_eq(mcp__head_feed(&head, request, strlen(request), &used), MCP__HEAD_DONE, "%s: %s", request,
               head.problem);
  mcp__http_request_kind_t wish = mcp__head_request_kind(&head);
  cr_assert_neq(wish, MCP__HTTP_INVALID, "%s: %s", request, head.problem);
  const char *problem = mcp__origins_problem(&admitted, &head, wish, tls);
  mcp__head_deinit(&head);
  return problem;
}

static const char *problem_of_get(const char *method_and_target, const char *host) {
  char request[600];
  snprintf(request, sizeof request, "%s HTTP/1.1\r\nHost: %s\r\n\r\n", method_and_target, host);
  return problem_of(request);
}

static const char *problem_from(const char *origin, const char *host) {
  char request[900];
  snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: %s\r\n" UPGRADE "Origin: %s\r\n\r\n", host,
           origin);
  return problem_of(request);
}

/* ---- Host ---------------------------------------------------------------------------------------------- */

static const char *const fine_hosts[] = {
    "127.0.0.1",
    "127.0.0.1:9060",
    "192.0.2.1",
    "[::1]",
    "[::1]:9060",
    "[2001:db8::1]",
    "[fe80::1%25eth0]",
    "localhost",
    "LOCALHOST:9060",
    "localhost.",
    "dewey",
    "dewey:9020",
    "a-b_c",
    "a.localhost",
    "printer.local",
    "a.b.internal",
    "dewey.iccm.svc",
    "d.i.svc.cluster.local",
    "d.i.svc.cluster.local.:9020",
    "A.LOCAL",
};
static const char *const strange_hosts[] = {
    "evil.example",
    "evil.example:9060",
    "evil.example.",
    "local.example",
    "127.0.0.1.evil.example",
    "127.0.0.1.",
    "1.2.3",
    "localhost.evil.example",
    "evillocal.example",
    ".local.evil",
    "xlocalhost.example",
    "a.svc.example",
    "[::1",
    "[::1.evil.example]",
    "[evil.example]",
    "user@localhost",
    "a b",
    "\xc3\xa4",
};

Test(origins, names_that_nobody_else_can_have) {
  for (size_t i = 0; i < sizeof fine_hosts / sizeof *fine_hosts; i++)
    cr_expect_null(problem_of_get("GET /metrics", fine_hosts[i]), "%s", fine_hosts[i]);
  for (size_t i = 0; i < sizeof strange_hosts / sizeof *strange_hosts; i++) {
    const char *problem = problem_of_get("GET /metrics", strange_hosts[i]);
    cr_assert_not_null(problem, "%s", strange_hosts[i]);
    cr_expect_not_null(strstr(problem, "ICCM_ALLOWED_HOSTS"), "%s", problem);
  }
}

Test(origins, requests_whose_name_is_looked_at) {
  static const char *const shown[] = {"GET /",        "HEAD /",       "GET /metrics?a", "HEAD /metrics",
                                      "GET /readyz/", "GET //readyz", "GET /other",     "GET /healthzz"};
  static const char *const open[] = {"GET /healthz",        "HEAD /healthz", "GET /readyz", "GET /readyz?a=b",
                                     "GET http://h/readyz", "OPTIONS /",     "OPTIONS *"};
  for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
    cr_expect_not_null(problem_of_get(shown[i], "evil.example"), "%s", shown[i]);
  for (size_t i = 0; i < sizeof open / sizeof *open; i++)
    cr_expect_null(problem_of_get(open[i], "evil.example"), "%s", open[i]);
  cr_expect_null(problem_of("GET / HTTP/1.1\r\nHost: evil.example\r\n" UPGRADE "\r\n"), "a program's own");
  cr_expect_null(problem_of("GET /metrics HTTP/1.0\r\n\r\n"));
}

Test(origins, an_absolute_target_names_the_host) { /* RFC 9112 section 3.2.2 */
  cr_expect_not_null(problem_of_get("GET http://evil.example/metrics", "localhost"));
  cr_expect_not_null(problem_of_get("GET http://evil.example", "localhost"));
  cr_expect_not_null(problem_of_get("GET http://localhost@evil.example/metrics", "localhost"));
  cr_expect_null(problem_of_get("GET http://localhost:9060/metrics", "evil.example"));
  cr_expect_null(problem_of_get("GET http://[::1]?x", "evil.example"));
}

Test(origins, names_that_are_listed) {
  admitted.hosts = (char[]){" dewey.example.com, Other.Example:9020 ,,last.example.,"};
  cr_expect_null(problem_of_get("GET /", "dewey.example.com"));
  cr_expect_null(problem_of_get("GET /", "DEWEY.example.com:1"));
  cr_expect_null(problem_of_get("GET /", "other.example:80"));
  cr_expect_null(problem_of_get("GET /", "last.example"));
  cr_expect_null(problem_of_get("GET /", "dewey.example.com."));
  cr_expect_not_null(problem_of_get("GET /", "example.com"));
  cr_expect_not_null(problem_of_get("GET /", "a.dewey.example.com"));
  cr_expect_not_null(problem_of_get("GET /", "dewey.example.co"));
  admitted.hosts = (char[]){"a.example,*"};
  for (size_t i = 0; i < sizeof strange_hosts / sizeof *strange_hosts; i++)
    cr_expect_null(problem_of_get("GET /", strange_hosts[i]), "%s", strange_hosts[i]);
}

/* ---- Origin -------------------------------------------------------------------------------------------- */

Test(origins, its_own) {
  static const char *const own[][2] = {
      {"http://dewey:9020", "dewey:9020"},
      {"HTTP://Dewey:9020", "dewey:9020"},
      {"http://dewey:9020/", "dewey:9020"},
      {"ws://dewey:9020", "dewey:9020"},
      {"http://dewey", "dewey"},
      {"http://dewey:80", "dewey"},
      {"http://dewey", "dewey:80"},
      {"http://192.0.2.1:9020", "192.0.2.1:9020"},
      {"http://192.0.2.1", "192.0.2.1:9020"},
      {"http://192.0.2.1:3000", "192.0.2.1:9020"},
      {"http://localhost", "localhost:9060"},
      {"http://localhost/", "localhost:9060"},
      {"http://localhost:3000", "localhost:80"},
      {"http://a.localhost:1", "a.localhost:2"},
      {"http://[::1]", "[::1]:9060"},
      {"http://[::1]:3000", "[::1]:9060"},
      {"http://x.internal:9", "x.internal:9"},
  };
  for (size_t i = 0; i < sizeof own / sizeof *own; i++)
    cr_expect_null(problem_from(own[i][0], own[i][1]), "%s to %s", own[i][0], own[i][1]);
}

Test(origins, from_elsewhere) {
  static const char *const others[][2] = {
      {"http://dewey", "dewey:9020"},
      {"http://dewey:9021", "dewey:9020"},
      {"https://dewey:9020", "dewey:9020"},
      {"https://localhost", "localhost:9060"},
      {"http://localhost", "127.0.0.1:9060"},
      {"http://127.0.0.1:9060", "localhost:9060"},
      {"http://evil", "localhost:9060"},
      {"http://evil.example", "dewey:9020"},
      {"null", "localhost:9060"},
      {"file://", "localhost:9060"},
      {"localhost:9060", "localhost:9060"},
      {"http://", "localhost:9060"},
      {"http:", "localhost:9060"},
      {"http://localhost.evil.example", "localhost:9060"},
      {"http://localhost:9060@evil", "localhost:9060"},
      {"", "localhost:9060"},
  };
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    const char *problem = problem_from(others[i][0], others[i][1]);
    cr_assert_not_null(problem, "%s to %s", others[i][0], others[i][1]);
    cr_expect_not_null(strstr(problem, "ICCM_ALLOWED_ORIGINS"), "%s", problem);
  }
  cr_expect_not_null(problem_of("GET / HTTP/1.1\r\nHost: dewey\r\nOrigin: http://dewey\r\n"
                                "Origin: http://dewey\r\n\r\n"),
                     "given twice");
}

/* Its page has the right Origin, but a name that it could have registered. */
Test(origins, a_name_that_was_bound_anew) {
  const char *problem = problem_from("http://evil.example:9060", "evil.example:9060");
  cr_assert_not_null(problem);
  cr_expect_not_null(strstr(problem, "ICCM_ALLOWED_HOSTS"), "%s", problem);
  admitted.origins = (char[]){"*"};
  cr_expect_not_null(problem_from("http://evil.example:9060", "evil.example:9060"));
  cr_expect_not_null(problem_of("GET /healthz HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://a\r\n\r\n"));
  admitted = (mcp__origins_t){.hosts = (char[]){"evil.example"}};
  cr_expect_null(problem_from("http://evil.example:9060", "evil.example:9060"));
  cr_expect_not_null(problem_from("http://evil.example", "evil.example:9060"));
}

Test(origins, in_tls) {
  tls = true;
  cr_expect_null(problem_from("https://dewey:9020", "dewey:9020"));
  cr_expect_null(problem_from("wss://dewey", "dewey:443"));
  cr_expect_null(problem_from("https://dewey:443", "dewey"));
  cr_expect_null(problem_from("https://localhost", "localhost:9060"));
  cr_expect_not_null(problem_from("http://dewey:9020", "dewey:9020"));
}

Test(origins, that_are_listed) {
  admitted.origins = (char[]){"http://a.example/, https://b.example:443 ,http://c.example:8080,null"};
  static const char *const fine[] = {
      "http://a.example",      "http://a.example/",     "HTTP://A.EXAMPLE:80",    "https://b.example",
      "https://b.example:443", "http://c.example:8080", "http://c.example:8080/", "null"};
  static const char *const others[] = {
      "https://a.example",     "http://a.example:81", "http://b.example", "http://c.example",
      "http://a.example.evil", "http://xa.example",   "a.example",        "*"};
  for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
    cr_expect_null(problem_from(fine[i], "localhost:9060"), "%s", fine[i]);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    cr_expect_not_null(problem_from(others[i], "localhost:9060"), "%s", others[i]);
  admitted.origins = (char[]){"*"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    cr_expect_null(problem_from(others[i], "localhost:9060"), "%s", others[i]);
}

Test(origins, entries_that_never_match) {
  static const char *const origins[] = {
      "*", "null", "http://a", "http://a:1/", "https://[::1]:3000", "chrome-extension://abc", "file://"};
  static const char *const wrong[] = {
      "localhost:3000",        "a.example", "http://a/path", "http://*.example", "http://a?b",
      "http://user@a.example", "://a"};
  static const char *const hosts[] = {"*", "a.example", "a.example:80", "a.example.", "[::1]", "192.0.2.1:9"};
  static const char *const wrong_hosts[] = {
      "http://a.example", "*.example", "a.example/", "a:b", "a:", "a b"};
  for (size_t i = 0; i < sizeof origins / sizeof *origins; i++)
    cr_expect(mcp__origins_valid_origin(origins[i], strlen(origins[i])), "%s", origins[i]);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    cr_expect(!mcp__origins_valid_origin(wrong[i], strlen(wrong[i])), "%s", wrong[i]);
  for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
    cr_expect(mcp__origins_valid_host(hosts[i], strlen(hosts[i])), "%s", hosts[i]);
  for (size_t i = 0; i < sizeof wrong_hosts / sizeof *wrong_hosts; i++)
    cr_expect(!mcp__origins_valid_host(wrong_hosts[i], strlen(wrong_hosts[i])), "%s", wrong_hosts[i]);
}
