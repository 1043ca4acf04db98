/* test_auth.c: valid tokens, and requests with the required token. The test defines mcp_log():
 * nothing here has a reason to log. */
#include "transport/auth.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

void mcp_log(int level, const char *part, const char *format, ...) {
  (void)level;
  (void)part;
  cr_assert_fail("logged: %s", format);
}

#define TOKEN "tOken-._~+/09=="
#define BEARER(text) "Authorization: Bearer " text "\r\n"
#define OFFER(list) "Sec-WebSocket-Protocol: " list "\r\n"

Test(auth, what_can_be_a_token) {
  static const char *const valid[] = {"a", "0", TOKEN, "secret", "A=", "-", "/"};
  static const char *const invalid[] = {"",      "=",   "==",   "a=b", "a b", " a",        "a ",    "a\n",
                                        "a\r\n", "a,b", "a\"b", "a\\", "a;b", "a\xc3\xa4", "a\x7f", "a\t"};
  char text[MCP__TOKEN_MAX + 2];
  for (size_t i = 0; i < sizeof valid / sizeof *valid; i++)
    cr_expect(mcp__token_valid(valid[i]), "%s", valid[i]);
  for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++)
    cr_expect(!mcp__token_valid(invalid[i]), "%s", invalid[i]);
  snprintf(text, sizeof text, "%0*d", MCP__TOKEN_MAX, 0);
  cr_expect(mcp__token_valid(text));
  snprintf(text, sizeof text, "%0*d", MCP__TOKEN_MAX + 1, 0);
  cr_expect(!mcp__token_valid(text));
}

/* NULL, or why a request with these headers does not have the token; token NULL: none is required. */
static const char *problem_of(const char *token, const char *headers) {
  mcp__auth_t auth = {0};
  mcp__head_t head;
  size_t used;
  char text[4000];
  snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", headers);
  cr_assert_eq(mcp__auth_set_token(&auth, token), 0);
  cr_assert_eq(mcp__head_init(&head, true), 0);
  cr_assert_eq(mcp__head_feed(&head, text, strlen(text), &used), MCP__HEAD_DONE, "%s: %s", headers,
               head.problem);
  mcp__token_t *found;
  const char *problem = mcp__auth_problem(&auth, &head, &found);
  cr_assert_eq(found != NULL, token != NULL && problem == NULL);
  mcp__head_deinit(&head);
  mcp__auth_wipe(&auth);
  return problem;
}

Test(auth, requests_that_have_it) {
  static const char *const rows[] = {
      BEARER(TOKEN),
      "authorization: BEARER " TOKEN "\r\n",
      "Authorization:bearer   " TOKEN "  \r\n",
      OFFER("mcp.auth." TOKEN),
      OFFER("mcp, mcp.auth." TOKEN),
      OFFER("mcp.auth." TOKEN ",mcp"),
      OFFER("mcp.auth.other,\t mcp.auth." TOKEN " , mcp"),
      OFFER("mcp") OFFER("mcp.auth." TOKEN),
      "Authorization: Basic dTpw\r\n" OFFER("mcp.auth." TOKEN), /* of a proxy in between */
      BEARER("other") OFFER("mcp.auth." TOKEN),
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    cr_expect_null(problem_of(TOKEN, rows[i]), "%s", rows[i]);
}

Test(auth, requests_that_have_none) {
  static const char *const rows[] = {"", OFFER("mcp"), "X-Authorization: Bearer " TOKEN "\r\n",
                                     "Cookie: token=" TOKEN "\r\n"};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const char *problem = problem_of(TOKEN, rows[i]);
    cr_assert_not_null(problem, "%s", rows[i]);
    cr_expect_not_null(strstr(problem, "requires a token"), "%s: %s", rows[i], problem);
  }
}

Test(auth, requests_that_have_another) {
  static const char *const rows[] = {
      BEARER("tOken-._~+/09="),    /* shorter, … */
      BEARER(TOKEN "="),           /* … longer, … */
      BEARER("token-._~+/09=="),   /* … in another case, … */
      BEARER(""),                  /* … empty, … */
      BEARER(TOKEN "," TOKEN),     /* … twice, … */
      BEARER(TOKEN) BEARER(TOKEN), /* … in two lines */
      BEARER("other") BEARER(TOKEN),
      "Authorization: " TOKEN "\r\n",
      "Authorization: Bearer\t" TOKEN "\r\n",
      "Authorization: BearerX " TOKEN "\r\n",
      "Authorization: Basic " TOKEN "\r\n",
      OFFER("mcp.auth."),
      OFFER("mcp.auth.other"),
      OFFER("MCP.AUTH." TOKEN) BEARER("x"), /* no subprotocol of ours */
      OFFER("mcp.auth." TOKEN "x"),
      OFFER("xmcp.auth." TOKEN),
      OFFER("mcp.auth. " TOKEN),
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const char *problem = problem_of(TOKEN, rows[i]);
    cr_assert_not_null(problem, "%s", rows[i]);
    cr_expect_not_null(strstr(problem, "invalid token"), "%s: %s", rows[i], problem);
    cr_expect_null(strstr(problem, TOKEN));
  }
}

Test(auth, nothing_is_asked_for) {
  cr_expect_null(problem_of(NULL, ""));
  cr_expect_null(problem_of(NULL, BEARER("whatever")));
}

Test(auth, the_longest_token_fits_both_places) {
  char token[MCP__TOKEN_MAX + 1], headers[2000];
  snprintf(token, sizeof token, "%0*d", MCP__TOKEN_MAX, 0);
  snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n", token);
  cr_expect_null(problem_of(token, headers));
  snprintf(headers, sizeof headers, "Sec-WebSocket-Protocol: mcp, mcp.auth.%s\r\n", token);
  cr_expect_null(problem_of(token, headers));
}

Test(auth,
     a_header_that_no_token_needs) { /* another system's, through a proxy: no reason to refuse the head */
  char headers[3000];
  snprintf(headers, sizeof headers, "Authorization: Bearer %02000d\r\n", 0);
  cr_expect_null(problem_of(NULL, headers));
  cr_expect_not_null(problem_of("0", headers));
  snprintf(headers, sizeof headers, "Authorization: Bearer %02000d\r\n" OFFER("mcp.auth.0"), 0);
  cr_expect_null(problem_of("0", headers));
}

Test(auth, settings) {
  mcp__auth_t auth = {0};
  cr_expect_eq(mcp__auth_set_token(&auth, "fine"), 0);
  mcp__auth_t before = auth;
  cr_expect_eq(mcp__auth_set_token(&auth, "not fine"), UV_EINVAL);
  cr_expect_eq(memcmp(&auth, &before, sizeof auth), 0, "unchanged");
  cr_expect_eq(mcp__auth_set_token(&auth, NULL), 0);
  cr_expect(!mcp__auth_is_required(&auth));
}

Test(auth, environment) {
  const char *token;
  unsetenv("ICCM_AUTH_TOKEN");
  cr_expect_eq(mcp__token_from_environment(&token), 0);
  cr_expect_null(token);
  setenv("ICCM_AUTH_TOKEN", "", 1);
  cr_expect_eq(mcp__token_from_environment(&token), 0);
  cr_expect_null(token);
  setenv("ICCM_AUTH_TOKEN", TOKEN, 1);
  cr_expect_eq(mcp__token_from_environment(&token), 0);
  cr_expect_str_eq(token, TOKEN);
  setenv("ICCM_AUTH_TOKEN", "hush hush", 1);
  cr_expect_eq(mcp__token_from_environment(&token), MCP_EENV);
  cr_expect_not_null(strstr(mcp_last_error(), "ICCM_AUTH_TOKEN"));
  cr_expect_null(strstr(mcp_last_error(), "hush"), "%s", mcp_last_error());
}
