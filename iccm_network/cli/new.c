/* new.c: `iccm new NAME`. Creates a component to start from: source, test, build file, unit and README.
 *
 * Happy path: creates the directory NAME with the files of template/, in which the placeholder NAME is
 * replaced, and prints their paths. Failure: an invalid name, an existing directory or file, a write error.
 * Nothing is overwritten, and files already written are removed again; signals are blocked meanwhile.
 */
#include "check_alloc.h"
#include "commands.h"
#include "error_report.h"

#include <errno.h>
#include <iccm_service.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACEHOLDER "NAME"
#define DIGITS "0123456789"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

enum { MAX_NAME = 64 };

typedef struct template_file {
  const char *path; /* below the component's directory */
  const char *text;
} template_file_t;

/* clang-format off */
static const template_file_t files[] = {
    {"README.md",
#include "README.md.inc"
    },
    {"NAME.c",
#include "NAME.c.inc"
    },
    {"test_NAME.c",
#include "test_NAME.c.inc"
    },
    {"meson.build",
#include "meson.build.inc"
    },
    {"NAME.service",
#include "NAME.service.inc"
    },
};
/* clang-format on */
enum { FILES = sizeof files / sizeof files[0] };

/* ---- the name -------------------------------------------------------------------------------------- */

static bool is_valid(const char *name) {
  size_t len = strlen(name);
  return len > 0 && len <= MAX_NAME && strspn(name, LETTERS DIGITS "_-") == len &&
         strspn(name, DIGITS "-") == 0;
}

/* Whether Meson reserves the name for a target. */
static bool is_reserved(const char *name) {
  static const char *const targets[] = {"PHONY",      "all",       "benchmark", "clean", "coverage",
                                        "dist",       "distcheck", "install",   "phony", "reconfigure",
                                        "scan-build", "test",      "uninstall"};
  for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
    if (strcmp(name, targets[i]) == 0)
      return true;
  }
  return strncmp(name, "meson-", strlen("meson-")) == 0;
}

/* ---- the files ------------------------------------------------------------------------------------- */

static void expand_name(FILE *out, const char *text, const char *name) {
  const char *at;
  while ((at = strstr(text, PLACEHOLDER)) != NULL) {
    fprintf(out, "%.*s%s", (int)(at - text), text, name);
    text = at + strlen(PLACEHOLDER);
  }
  fputs(text, out);
}

/* Owned by the caller. */
static char *path_of(const template_file_t *file, const char *name) {
  char *path = NULL;
  size_t len;
  FILE *out = check_alloc(open_memstream(&path, &len));
  fprintf(out, "%s/", name);
  expand_name(out, file->path, name);
  fclose(out);
  return check_alloc(path);
}

/* Returns 0, or a code of errno; then the file does not exist. */
static int write_file(const char *path, const char *text, const char *name) {
  FILE *out = fopen(path, "wxe");
  if (out == NULL)
    return errno;
  errno = 0;
  expand_name(out, text, name);
  int code = ferror(out) ? errno : 0;
  if (fclose(out) != 0 && code == 0)
    code = errno;
  if (code != 0)
    unlink(path);
  return code;
}

static void remove_all(char *const *paths, size_t count, const char *name) {
  while (count-- > 0)
    unlink(paths[count]);
  rmdir(name);
}

/* Returns 0, or a code of errno and the path that failed in *failed; then everything was removed. */
static int write_all(char *const *paths, const char *name, const char **failed) {
  int code = 0;
  *failed = name;
  if (mkdir(name, 0777) != 0)
    return errno;
  for (size_t i = 0; i < FILES && code == 0; i++) {
    *failed = paths[i];
    code = write_file(paths[i], files[i].text, name);
    if (code != 0)
      remove_all(paths, i, name);
  }
  return code;
}

static int write_with_signals_blocked(char *const *paths, const char *name, const char **failed) {
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGINT);
  sigaddset(&blocked, SIGTERM);
  sigaddset(&blocked, SIGHUP);
  signal(SIGXFSZ, SIG_IGN); /* exceeding RLIMIT_FSIZE must be an error like a full disk */
  sigprocmask(SIG_BLOCK, &blocked, &before);
  int code = write_all(paths, name, failed);
  sigprocmask(SIG_SETMASK, &before, NULL);
  return code;
}

/* ---- the command ----------------------------------------------------------------------------------- */

static void show(const options_t *options, const print_t *out, char *const *paths) {
  if (!options->json) {
    for (size_t i = 0; i < FILES; i++)
      fprintf(out->file, "%s\n", paths[i]);
    return;
  }
  yyjson_mut_doc *doc = check_alloc(yyjson_mut_doc_new(NULL));
  yyjson_mut_val *root = yyjson_mut_obj(doc), *list = yyjson_mut_obj_add_arr(doc, root, "files");
  yyjson_mut_doc_set_root(doc, root);
  for (size_t i = 0; i < FILES; i++)
    yyjson_mut_arr_add_str(doc, list, paths[i]);
  yyjson_doc *written = check_alloc(yyjson_mut_doc_imut_copy(doc, NULL));
  print_json(out, yyjson_doc_get_root(written), false);
  yyjson_doc_free(written);
  yyjson_mut_doc_free(doc);
}

static int report_write_error(const options_t *options, const print_t *out, const char *failed, int code) {
  if (code == EEXIST)
    return report_usage_error(options, out, "%s already exists (choose another name; nothing was written)",
                              failed);
  return report_usage_error(options, out, "cannot write %s: %s (nothing was kept)", failed,
                            mcp_strerror(-code));
}

int new_run(const options_t *options, const print_t *out) {
  const char *name = options->url, *failed; /* the first argument */
  char shown[MCP_SHOWN_SIZE], *paths[FILES];
  if (!is_valid(name))
    return report_usage_error(
        options, out, "invalid name %s: use 1 to %d letters, digits, - and _, beginning with a letter or _",
        mcp_redact_setting(NULL, name, shown), MAX_NAME);
  if (is_reserved(name))
    return report_usage_error(options, out, "invalid name %s: Meson reserves it (choose another)", name);
  for (size_t i = 0; i < FILES; i++)
    paths[i] = path_of(&files[i], name);
  int code = write_with_signals_blocked(paths, name, &failed);
  if (code == 0)
    show(options, out, paths);
  else
    code = report_write_error(options, out, failed, code);
  for (size_t i = 0; i < FILES; i++)
    free(paths[i]);
  return code;
}
