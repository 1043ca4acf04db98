/* test_tokens.c: files with tokens, valid and invalid, and what a later file does to the tokens in use. */
#include "transport/tokens.h"

#include "iccm_service.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

/* SHA-256 of "reader", "writer" and "admin-token" */
#define READER "sha256:3d0941964aa3ebdcb00ccef58b1bb399f9f898465e9886d5aec7f31090a0fb30"
#define WRITER "sha256:5c0bd5ddd6ba0a2f8cc1b1c5fd1ea4b9bf4f2e5d0a9cbbd1cc3a31f5a3d7ee23"

static char path[] = "/tmp/tokens-XXXXXX";
static mcp__tokens_t tokens;

static void write_file(const char *text, size_t len) {
  FILE *file = fopen(path, "w");
  cr_assert_not_null(file);
  cr_assert_eq(fwrite(text, 1, len, file), len);
  cr_assert_eq(fclose(file), 0);
}

static int read_lines(const char *lines) {
  write_file(lines, strlen(lines));
  return mcp__tokens_read(&tokens, path);
}

static void begin(void) {
  cr_assert_geq(mkstemp(path), 0);
}

static void end(void) {
  mcp__tokens_deinit(&tokens);
  unlink(path);
}

TestSuite(tokens, .init = begin, .fini = end);

static mcp__token_t *find_at(const char *text, int64_t now_us) {
  unsigned char digest[MCP__TOKEN_DIGEST_SIZE];
  cr_assert(mcp__token_digest(text, strlen(text), digest));
  return mcp__tokens_find(&tokens, digest, now_us);
}

static mcp__token_t *find(const char *text) {
  return find_at(text, mcp_time_now_us());
}

static void line_of(char *line, size_t size, const char *name, const char *role, const char *until,
                    const char *text) {
  unsigned char digest[MCP__TOKEN_DIGEST_SIZE];
  char hex[2 * MCP__TOKEN_DIGEST_SIZE + 1];
  cr_assert(mcp__token_digest(text, strlen(text), digest));
  for (unsigned i = 0; i < sizeof digest; i++)
    snprintf(hex + (size_t)2 * i, 3, "%02x", digest[i]);
  snprintf(line, size, "%s %s %s sha256:%s\n", name, role, until, hex);
}

Test(tokens, a_file_of_three) {
  char text[1000] = "# who may come in\n\n", line[200];
  static const char *const roles[] = {"read", "write", "admin"};
  for (int i = 0; i < 3; i++) {
    line_of(line, sizeof line, roles[i], roles[i], "never", roles[i]);
    strcat(text, line);
  }
  cr_assert_eq(read_lines(text), 0, "%s", mcp_last_error());
  cr_expect_eq(tokens.count, 3);
  for (int i = 0; i < 3; i++) {
    const mcp__token_t *token = find(roles[i]);
    cr_assert_not_null(token, "%s", roles[i]);
    cr_expect_str_eq(token->name, roles[i]);
    cr_expect_eq(token->role, (mcp__role_t)(MCP__ROLE_READ + i));
    for (mcp__role_t role = MCP__ROLE_READ; role <= MCP__ROLE_ADMIN; role++)
      cr_expect_eq(mcp__token_has_role(token, role), role <= token->role);
  }
  cr_expect_null(find("Read"));
  cr_expect_null(find(""));
}

Test(tokens, lines_as_people_write_them) {
  cr_expect_eq(read_lines("\t a.b@c-d_1 \t read  2999-01-01\t" READER " \r\n"), 0, "%s", mcp_last_error());
  cr_expect_eq(tokens.count, 1);
  mcp__tokens_deinit(&tokens);
  cr_expect_eq(read_lines("a read never " READER), 0, "no line break at the end: %s", mcp_last_error());
  cr_expect_eq(tokens.count, 1);
  mcp__tokens_deinit(&tokens);
  cr_expect_eq(read_lines(""), 0);
  cr_expect_eq(tokens.count, 0);
}

Test(tokens, a_date_includes_its_day) {
  char line[200];
  int64_t midnight;
  line_of(line, sizeof line, "a", "read", "2030-05-06", "secret");
  cr_assert_eq(read_lines(line), 0);
  cr_assert_eq(mcp_time_parse("2030-05-07", 10, &midnight), 0);
  cr_expect_not_null(find_at("secret", midnight - 2));
  cr_expect_null(find_at("secret", midnight));
}

Test(tokens, invalid_lines) {
  static const struct {
    const char *line, *problem;
  } rows[] = {
      {"a read never", "expected NAME ROLE END sha256:HEX"},
      {"a read never " READER " more", "expected NAME ROLE END"},
      {"a;b read never " READER, "a name has 1 to 64"},
      {"a reed never " READER, "a role is read, write or admin"},
      {"a READ never " READER, "a role is read, write or admin"},
      {"a read tomorrow " READER, "an end is never, or a time"},
      {"a read 2026-02-30 " READER, "an end is never, or a time"},
      {"a read never secret", "a digest is sha256: and 64"},
      {"a read never " READER "0", "a digest is sha256: and 64"},
      {"a read never sha256:zz0941964aa3ebdcb00ccef58b1bb399f9f898465e9886d5aec7f31090a0fb30", "a digest is"},
      {"b read never " WRITER "\nc write never " WRITER, "this token is there already"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[600], where[60];
    snprintf(text, sizeof text, "first read never " READER "\n%s\n", rows[i].line);
    if (strstr(rows[i].problem, "already") == NULL)
      snprintf(where, sizeof where, "line 2: ");
    else
      snprintf(where, sizeof where, "line 3: ");
    cr_expect_eq(read_lines(text), UV_EINVAL, "%s", rows[i].line);
    cr_expect_not_null(strstr(mcp_last_error(), where), "%s", mcp_last_error());
    cr_expect_not_null(strstr(mcp_last_error(), rows[i].problem), "%s", mcp_last_error());
    cr_expect_not_null(strstr(mcp_last_error(), path));
    cr_expect_null(strstr(mcp_last_error(), "secret"), "a token may stand there by mistake");
    cr_expect_eq(tokens.count, 0, "nothing of an invalid file is used");
  }
}

Test(tokens, files_that_are_none) {
  cr_expect_eq(mcp__tokens_read(&tokens, "/tmp/no/such/file"), UV_EINVAL);
  cr_expect_not_null(strstr(mcp_last_error(), "no such file"), "%s", mcp_last_error());
  cr_expect_eq(mcp__tokens_read(&tokens, "/tmp"), UV_EINVAL);
  cr_expect_not_null(strstr(mcp_last_error(), "not a regular file"), "%s", mcp_last_error());
  write_file("a\0b", 3);
  cr_expect_eq(mcp__tokens_read(&tokens, path), UV_EINVAL);
  cr_expect_not_null(strstr(mcp_last_error(), "not a text file"), "%s", mcp_last_error());
  cr_assert_eq(chmod(path, 0666), 0);
  cr_expect_eq(mcp__tokens_read(&tokens, path), UV_EINVAL);
  cr_expect_not_null(strstr(mcp_last_error(), "chmod o-w"), "%s", mcp_last_error());
  unlink(path);
  cr_assert_eq(mkfifo(path, 0600), 0);
  cr_expect_eq(mcp__tokens_read(&tokens, path), UV_EINVAL, "a fifo does not block");
}

/* A file of this number of tokens. */
static int read_many(unsigned count) {
  FILE *file = fopen(path, "w");
  cr_assert_not_null(file);
  for (unsigned i = 0; i < count; i++) {
    char line[200], text[20];
    snprintf(text, sizeof text, "t%u", i);
    line_of(line, sizeof line, "many", "read", "never", text);
    fputs(line, file);
  }
  cr_assert_eq(fclose(file), 0);
  return mcp__tokens_read(&tokens, path);
}

Test(tokens, limits) {
  cr_expect_eq(read_many(MCP__TOKENS_MAX), 0, "%s", mcp_last_error());
  mcp__tokens_deinit(&tokens);
  cr_expect_eq(read_many(MCP__TOKENS_MAX + 1), UV_EINVAL);
  cr_expect_not_null(strstr(mcp_last_error(), "at most 1000 tokens"), "%s", mcp_last_error());
  char *text = malloc(MCP__TOKENS_FILE_BYTES + 1);
  memset(text, '#', MCP__TOKENS_FILE_BYTES + 1);
  write_file(text, MCP__TOKENS_FILE_BYTES);
  cr_expect_eq(mcp__tokens_read(&tokens, path), 0, "%s", mcp_last_error());
  write_file(text, MCP__TOKENS_FILE_BYTES + 1);
  cr_expect_eq(mcp__tokens_read(&tokens, path), UV_EINVAL);
  cr_expect_not_null(strstr(mcp_last_error(), "larger than 256 KiB"), "%s", mcp_last_error());
  free(text);
}

Test(tokens, a_later_file_changes_and_ends_them) {
  char line[200], other[200], both[400];
  mcp__tokens_t later = {0};
  line_of(line, sizeof line, "stays", "read", "never", "stays");
  line_of(other, sizeof other, "goes", "admin", "never", "goes");
  snprintf(both, sizeof both, "%s%s", line, other);
  cr_assert_eq(read_lines(both), 0);
  mcp__token_t *stays = mcp__token_hold(find("stays")), *goes = mcp__token_hold(find("goes"));
  line_of(line, sizeof line, "renamed", "write", "never", "stays");
  write_file(line, strlen(line));
  cr_assert_eq(mcp__tokens_read(&later, path), 0);
  mcp__tokens_replace(&tokens, &later);
  cr_expect_eq(find("stays"), stays, "what it admitted sees the change");
  cr_expect_str_eq(stays->name, "renamed");
  cr_expect_eq(stays->role, MCP__ROLE_WRITE);
  cr_expect_null(find("goes"));
  cr_expect(mcp__token_has_ended(goes, 0));
  cr_expect(!mcp__token_has_role(goes, MCP__ROLE_READ));
  mcp__token_release(stays);
  mcp__token_release(goes);
  mcp__tokens_deinit(&later);
}
