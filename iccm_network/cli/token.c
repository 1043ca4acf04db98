/* token.c: `iccm token FILE NAME ROLE`. Makes a token and adds its digest to a file for ICCM_TOKENS.
 *
 * Happy path: the file is locked and read, a line for a random token is appended and synced, and the token is
 * printed. Failure: the lines that are there, and the new one, are parsed as a server does it; if one is
 * invalid, nothing is written and no token is printed. */
#include "check_alloc.h"
#include "commands.h"
#include "error_report.h"
#include "transport/tokens.h"

#include <errno.h>
#include <fcntl.h>
#include <iccm_service.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

enum { TOKEN_BYTES = 32, TOKEN_SIZE = 2 * TOKEN_BYTES + 1, DIGEST_SIZE = 2 * MCP__TOKEN_DIGEST_SIZE + 1 };

static void to_hex(const unsigned char *bytes, size_t count, char *hex) {
  for (size_t i = 0; i < count; i++)
    snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
}

static bool make_token(char token[TOKEN_SIZE], char digest[DIGEST_SIZE]) {
  unsigned char bytes[TOKEN_BYTES], sum[MCP__TOKEN_DIGEST_SIZE];
  if (uv_random(NULL, NULL, bytes, sizeof bytes, 0, NULL) != 0)
    return false;
  to_hex(bytes, sizeof bytes, token);
  if (!mcp__token_digest(token, TOKEN_SIZE - 1, sum))
    return false;
  to_hex(sum, sizeof sum, digest);
  return true;
}

/* Returns 0 or a negative errno. text has room for the limit of a file. */
static int read_file(int fd, char *text, size_t *len) {
  *len = 0;
  for (;;) {
    ssize_t count = read(fd, text + *len, MCP__TOKENS_FILE_BYTES - *len);
    if (count < 0)
      return -errno;
    if (count == 0)
      return *len < MCP__TOKENS_FILE_BYTES ? 0 : -EFBIG;
    *len += (size_t)count;
  }
}

/* What was written of a line is removed if not all of it can be written. */
static int append(int fd, size_t file_len, const char *line, size_t len) {
  ssize_t written = write(fd, line, len);
  int status = written < 0 || fsync(fd) != 0 ? -errno : (size_t)written == len ? 0 : -ENOSPC;
  if (status != 0 && ftruncate(fd, (off_t)file_len) != 0)
    return -errno;
  return status;
}

/* The new line, with a line break before it if the last line of the file has none. */
static char *line_behind(const char *text, size_t len, const options_t *options, const char *digest) {
  char *line = NULL;
  size_t size;
  FILE *out = check_alloc(open_memstream(&line, &size));
  fprintf(out, "%s%s %s %s sha256:%s\n", len > 0 && text[len - 1] != '\n' ? "\n" : "", options->tool,
          options->args[0], options->until != NULL ? options->until : "never", digest);
  fclose(out);
  return check_alloc(line);
}

/* Returns how many tokens a server would read in the text; -1: none, with the cause in mcp_last_error(). */
static int count_tokens(const char *path, const char *text) {
  mcp__tokens_t *tokens = check_alloc(calloc(1, sizeof *tokens));
  char *copy = check_alloc(strdup(text));
  int count = mcp__tokens_parse(tokens, path, copy, strlen(copy)) == 0 ? (int)tokens->count : -1;
  mcp__tokens_deinit(tokens);
  free(tokens);
  free(copy);
  return count;
}

/* Returns NULL if a server would accept the file with the new line, and find one more token in it. */
static const char *problem_of(const char *path, const char *text, size_t len, const char *line) {
  char *whole = check_alloc(malloc(len + strlen(line) + 1));
  memcpy(whole, text, len);
  memcpy(whole + len, line, strlen(line) + 1);
  const char *problem = strlen(whole) < len             ? "not a text file"
                        : count_tokens(path, whole) < 0 ? mcp_last_error()
                        : count_tokens(path, line) != 1 ? "NAME, TIME and ROLE are not one line of a token"
                                                        : NULL;
  free(whole);
  return problem;
}

static int report_file_error(const options_t *options, const print_t *out, int code) {
  return report_usage_error(options, out, "cannot write %s: %s (nothing was added)", options->url,
                            mcp_strerror(code));
}

static int add_token(const options_t *options, const print_t *out, int fd, const char *digest) {
  char *text = check_alloc(malloc(MCP__TOKENS_FILE_BYTES));
  size_t len = 0;
  int status = flock(fd, LOCK_EX) == 0 ? read_file(fd, text, &len) : -errno;
  if (status != 0) {
    free(text);
    return report_file_error(options, out, status);
  }
  char *line = line_behind(text, len, options, digest);
  int code = 0;
  const char *problem = problem_of(options->url, text, len, line);
  if (problem != NULL)
    code = report_usage_error(options, out, "%s (nothing was added)", problem);
  else if ((status = append(fd, len, line, strlen(line))) != 0)
    code = report_file_error(options, out, status);
  free(line);
  free(text);
  return code;
}

static void show(const options_t *options, const print_t *out, const char *token) {
  if (!options->json) {
    fprintf(out->file, "%s\n", token);
    fprintf(stderr, "added to %s; send SIGHUP to the servers that read it\n", options->url);
    return;
  }
  yyjson_mut_doc *doc = check_alloc(yyjson_mut_doc_new(NULL));
  yyjson_mut_val *root = yyjson_mut_obj(doc);
  yyjson_mut_doc_set_root(doc, root);
  yyjson_mut_obj_add_str(doc, root, "token", token);
  yyjson_doc *written = check_alloc(yyjson_mut_doc_imut_copy(doc, NULL));
  print_json(out, yyjson_doc_get_root(written), false);
  yyjson_doc_free(written);
  yyjson_mut_doc_free(doc);
}

int token_run(const options_t *options, const print_t *out) {
  char token[TOKEN_SIZE], digest[DIGEST_SIZE];
  if (options->arg_count < 1)
    return report_usage_error(options, out, "no ROLE: read, write or admin");
  if (!make_token(token, digest))
    return report_usage_error(options, out, "the system has no random numbers for a token (try again)");
  struct stat info;
  int fd = open(options->url, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
  if (fd < 0)
    return report_file_error(options, out, -errno);
  bool is_file = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  int code = is_file ? add_token(options, out, fd, digest) : report_file_error(options, out, MCP_ENOTREGULAR);
  close(fd);
  if (code == 0)
    show(options, out, token);
  return code;
}
