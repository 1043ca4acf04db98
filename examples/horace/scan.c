/* scan.c: see scan.h.
 *
 * The command is a client of the running Horace. It reads all paths of the catalogue page by page, walks
 * files/, and registers each file whose path is missing, several at a time. A file that another client
 * registers meanwhile counts as a duplicate.
 *
 * It always ends: it reads as many pages as the first one announced, each directory once, no path too long
 * for the system, no other mounts, and at most FOUND_MAX new files. It reports what it skips. */
#define _GNU_SOURCE /* statx */
#include "scan.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <getopt.h>
#include <iccm_network.h>
#include <iccm_service.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum { PAGE = 1000, FOUND_MAX = 1000000, MESSAGE_MAX_BYTES = 200 * 1024 * 1024 };
enum { IN_FLIGHT = 4, BAR_WIDTH = 30, SEARCH_MS = 60 * 1000, REGISTER_MS = 300 * 1000 };

typedef struct names {
  char **all;
  size_t count, capacity;
} names_t;

typedef struct scan {
  bool dry_run, has_bar;
  char url[256];
  char files[PATH_MAX]; /* path of files/ */
  uv_loop_t loop;
  mcp_client_t *client;
  names_t known, found; /* known paths are sorted once all were read */
  int status_index;     /* status being read */
  int64_t offset;       /* of the requested page */
  int64_t total;        /* number of files of that status, from the first page */
  uint64_t mount_id;    /* that files/ is on */
  size_t next, done, registered, duplicates, vanished, failed;
  bool broken; /* the paths could not be read */
} scan_t;

/* Files whose bytes are in files/. Archived files do not keep their paths. */
static const char *const statuses[] = {"active", "deleted"};
enum { STATUSES = 2 };

/* ---- Names ---- */

_Noreturn static void no_memory(void) {
  fputs("horace: out of memory\n", stderr);
  exit(1);
}

static void add_name(names_t *names, const char *name) {
  if (names->count == names->capacity) {
    names->capacity = names->capacity > 0 ? 2 * names->capacity : 1024;
    names->all = realloc(names->all, names->capacity * sizeof *names->all);
    if (names->all == NULL)
      no_memory();
  }
  names->all[names->count] = strdup(name);
  if (names->all[names->count++] == NULL)
    no_memory();
}

static int compare(const void *one, const void *other) {
  return strcmp(*(char *const *)one, *(char *const *)other);
}

static bool has_name(const names_t *names, const char *name) {
  return names->count > 0 && bsearch(&name, names->all, names->count, sizeof *names->all, compare) != NULL;
}

static void free_names(names_t *names) {
  for (size_t i = 0; i < names->count; i++)
    free(names->all[i]);
  free(names->all);
}

/* ---- The bar ---- */

/* Redraws the progress bar, on a terminal only. */
static void show_bar(const scan_t *scan) {
  char bar[BAR_WIDTH + 1];
  size_t total = scan->found.count, full = total > 0 ? scan->done * BAR_WIDTH / total : BAR_WIDTH;
  if (!scan->has_bar)
    return;
  memset(bar, ' ', BAR_WIDTH);
  memset(bar, '#', full);
  bar[BAR_WIDTH] = '\0';
  fprintf(stderr, "\r[%s] %3zu %%  %zu of %zu%s", bar, total > 0 ? scan->done * 100 / total : 100, scan->done,
          total, scan->done == total ? "\n" : "");
}

/* Prints a file name or a server's message with terminal control characters escaped. */
static void print_safe(FILE *to, const char *text) {
  char shown[MCP_PRINTABLE_SIZE];
  for (size_t left = strlen(text), used; left > 0; text += used, left -= used) {
    used = mcp_printable_next(text, left, shown);
    fputs(shown, to);
  }
}

/* Prints a line above the progress bar. */
static void say(const scan_t *scan, const char *path, const char *message) {
  fputs(scan->has_bar ? "\r\033[Khorace: " : "horace: ", stderr);
  print_safe(stderr, path);
  fputs(": ", stderr);
  print_safe(stderr, message);
  fputc('\n', stderr);
}

/* Prints a message about the server. Its URL cannot contain a user, but a query with a secret. */
static void say_of_horace(const scan_t *scan, const char *message) {
  char shown[MCP_SHOWN_SIZE];
  say(scan, mcp_redact_setting(NULL, scan->url, shown), message);
}

/* ---- Registering ---- */

typedef struct registering {
  scan_t *scan;
  const char *path;
} registering_t;

static void finish(scan_t *scan) {
  mcp_client_close(scan->client, NULL, NULL);
}

static void register_more(scan_t *scan);

static bool is_there(const char *path) {
  struct stat file_stat;
  return lstat(path, &file_stat) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

static void end_one(registering_t *registering, const char *message) {
  scan_t *scan = registering->scan;
  scan->done++;
  if (message != NULL && !is_there(registering->path)) {
    scan->vanished++;
  } else if (message != NULL) {
    say(scan, registering->path, message);
    scan->failed++;
  } else {
    scan->registered++;
  }
  free(registering);
  show_bar(scan);
}

static void on_registered(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  registering_t *registering = arg;
  scan_t *scan = registering->scan;
  (void)client;
  bool failed = result->status != 0 || result->is_error;
  if (!failed && yyjson_obj_get(result->value, "message") != NULL)
    scan->duplicates++;
  end_one(registering, failed ? result->message : NULL);
  register_more(scan);
}

static void register_one(scan_t *scan, const char *path) {
  registering_t *registering = malloc(sizeof *registering);
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  yyjson_mut_val *root = yyjson_mut_obj(doc);
  if (registering == NULL)
    no_memory();
  *registering = (registering_t){scan, path};
  yyjson_mut_doc_set_root(doc, root);
  yyjson_mut_obj_add_str(doc, root, "file_path", path);
  yyjson_mut_obj_add_obj(doc, root, "metadata");
  int code = mcp_client_call(scan->client, "horace_register_file", doc,
                             &(mcp_call_options_t){.timeout_ms = REGISTER_MS}, on_registered, registering);
  if (code != 0) /* everything else in the request is ours */
    end_one(registering, code == MCP_EENCODE ? "the name of the file is not UTF-8" : mcp_strerror(code));
}

/* Keeps several requests in flight. */
static void register_more(scan_t *scan) {
  while (scan->next < scan->found.count && scan->next - scan->done < IN_FLIGHT)
    register_one(scan, scan->found.all[scan->next++]);
  if (scan->done == scan->found.count)
    finish(scan);
}

/* ---- Finding ---- */

/* Returns the kernel's id of the mount, or 0 if it is unknown or the path does not exist. */
static uint64_t mount_of(const char *path) {
  struct statx file_stat;
  bool known = statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_MNT_ID, &file_stat) == 0 &&
               (file_stat.stx_mask & STATX_MNT_ID) != 0;
  return known ? file_stat.stx_mnt_id : 0;
}

/* True if the entry is on another mount; Horace registers no files there, see storage.c. */
static bool is_elsewhere(const scan_t *scan, const FTSENT *entry) {
  uint64_t mount_id = mount_of(entry->fts_accpath);
  if (mount_id == 0 || mount_id == scan->mount_id)
    return false;
  say(scan, entry->fts_path, "skipped: it is another mount");
  return true;
}

static void leave(scan_t *scan, const char *path, const char *why) {
  say(scan, path, why);
  scan->failed++;
}

static void look_at(scan_t *scan, FTS *tree, FTSENT *entry) {
  switch (entry->fts_info) {
  case FTS_D:
    if (entry->fts_level > 0 && is_elsewhere(scan, entry))
      fts_set(tree, entry, FTS_SKIP);
    break;
  case FTS_F:
    if (!has_name(&scan->known, entry->fts_path) && !is_elsewhere(scan, entry))
      add_name(&scan->found, entry->fts_path);
    break;
  case FTS_DC:
    leave(scan, entry->fts_path, "skipped: it leads back to a directory above it");
    break;
  case FTS_DNR:
  case FTS_ERR:
  case FTS_NS:
    if (entry->fts_errno == ENOENT && entry->fts_level > 0)
      scan->vanished++;
    else
      leave(scan, entry->fts_path, strerror(entry->fts_errno));
    break;
  default:
    break;
  }
}

static bool walk(scan_t *scan) {
  char *const roots[] = {scan->files, NULL};
  FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
  FTSENT *entry;
  if (tree == NULL)
    return false;
  scan->mount_id = mount_of(scan->files);
  while (errno = 0, (entry = fts_read(tree)) != NULL && scan->found.count < FOUND_MAX)
    look_at(scan, tree, entry);
  if (entry != NULL)
    leave(scan, entry->fts_path, "stopped after a million new files; run scan again for the rest");
  else if (errno != 0)
    leave(scan, scan->files, strerror(errno));
  fts_close(tree);
  return true;
}

/* Called when all known paths were read. */
static void on_known(scan_t *scan) {
  if (scan->known.count > 0)
    qsort(scan->known.all, scan->known.count, sizeof *scan->known.all, compare);
  scan->broken = !walk(scan);
  if (scan->dry_run || scan->broken) {
    for (size_t i = 0; i < scan->found.count; i++) {
      print_safe(stdout, scan->found.all[i]);
      putchar('\n');
    }
    finish(scan);
    return;
  }
  show_bar(scan);
  register_more(scan);
}

/* ---- The catalogue's paths ---- */

static void ask_for_page(scan_t *scan);

static void take_file(scan_t *scan, yyjson_val *file) {
  size_t i, count;
  yyjson_val *path;
  if (yyjson_is_str(yyjson_obj_get(file, "path")))
    add_name(&scan->known, yyjson_get_str(yyjson_obj_get(file, "path")));
  yyjson_arr_foreach(yyjson_obj_get(file, "other_paths"), i, count, path) {
    if (yyjson_is_str(path))
      add_name(&scan->known, yyjson_get_str(path));
  }
}

static void on_page(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  scan_t *scan = arg;
  size_t i, count;
  yyjson_val *file, *files = yyjson_obj_get(result->value, "results");
  yyjson_val *total = yyjson_obj_get(result->value, "total_count");
  (void)client;
  if (result->status != 0 || result->is_error || !yyjson_is_arr(files)) {
    say_of_horace(scan, result->message != NULL ? result->message : "the server is not Horace");
    scan->broken = true;
    finish(scan);
    return;
  }
  yyjson_arr_foreach(files, i, count, file) {
    take_file(scan, file);
  }
  if (scan->offset == 0)
    scan->total = total != NULL ? yyjson_get_sint(total) : INT64_MAX;
  scan->offset += PAGE;
  if (yyjson_arr_size(files) < PAGE || scan->offset >= scan->total) {
    scan->status_index++;
    scan->offset = 0;
  }
  ask_for_page(scan);
}

static void ask_for_page(scan_t *scan) {
  if (scan->status_index == STATUSES) {
    on_known(scan);
    return;
  }
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  yyjson_mut_val *root = yyjson_mut_obj(doc);
  yyjson_mut_doc_set_root(doc, root);
  yyjson_mut_obj_add_str(doc, root, "status", statuses[scan->status_index]);
  yyjson_mut_obj_add_str(doc, root, "sort_by", "path");
  yyjson_mut_obj_add_str(doc, root, "order", "asc");
  yyjson_mut_obj_add_true(doc, root, "all_paths");
  yyjson_mut_obj_add_int(doc, root, "limit", PAGE);
  yyjson_mut_obj_add_int(doc, root, "offset", scan->offset);
  if (mcp_client_call(scan->client, "horace_search_files", doc,
                      &(mcp_call_options_t){.timeout_ms = SEARCH_MS}, on_page, scan) != 0) {
    scan->broken = true;
    finish(scan);
  }
}

/* ---- The command ---- */

static const char usage[] = "usage: horace scan [--dry-run] [URL]\n";

static int wrong_arguments(void) {
  fputs(usage, stderr);
  return 2;
}

static bool find_storage(scan_t *scan) {
  const char *storage = mcp_env_text("HORACE_STORAGE_PATH", NULL);
  char *root = storage != NULL ? realpath(storage, NULL) : NULL;
  if (root == NULL)
    fprintf(stderr, "horace: HORACE_STORAGE_PATH: %s\n",
            storage != NULL ? "there is no such directory" : "not set");
  else
    snprintf(scan->files, sizeof scan->files, "%s/files", root);
  free(root);
  return scan->files[0] != '\0';
}

/* Returns -1 to continue, else the exit status. */
static int configure(scan_t *scan, int argc, char **argv) {
  static const struct option options[] = {
      {"dry-run", no_argument, NULL, 'n'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
  int64_t port;
  for (int option; (option = getopt_long(argc, argv, "nh", options, NULL)) != -1;) {
    if (option == 'h')
      return fputs(usage, stdout) < 0;
    if (option != 'n')
      return wrong_arguments();
    scan->dry_run = true;
  }
  if (argc - optind > 1)
    return wrong_arguments();
  if (mcp_env_int("HORACE_MCP_PORT", 8070, 0, 65535, &port) != 0 || !find_storage(scan))
    return 1;
  snprintf(scan->url, sizeof scan->url, "ws://localhost:%d", (int)port);
  if (optind < argc)
    snprintf(scan->url, sizeof scan->url, "%s", argv[optind]);
  scan->has_bar = !scan->dry_run && isatty(STDERR_FILENO);
  return -1;
}

static int run(scan_t *scan) {
  if (uv_loop_init(&scan->loop) != 0)
    return 1;
  scan->client = mcp_client_new(&scan->loop, scan->url);
  if (scan->client == NULL) {
    fprintf(stderr, "horace: ");
    print_safe(stderr, mcp_last_error()); /* contains the URL without secrets */
    fputc('\n', stderr);
    uv_loop_close(&scan->loop);
    return 1;
  }
  mcp_client_set_fail_fast(scan->client, true);
  mcp_client_set_max_message_bytes(scan->client, MESSAGE_MAX_BYTES);
  ask_for_page(scan);
  uv_run(&scan->loop, UV_RUN_DEFAULT);
  mcp_client_free(scan->client);
  uv_loop_close(&scan->loop);
  if (!scan->broken && !scan->dry_run)
    printf("%zu registered, %zu of them with bytes that were known; %zu failed; %zu were known\n",
           scan->registered, scan->duplicates, scan->failed, scan->known.count);
  if (scan->vanished > 0)
    fprintf(stderr, "horace: %zu files were gone before they were registered\n", scan->vanished);
  free_names(&scan->known);
  free_names(&scan->found);
  return scan->broken || scan->failed > 0 ? 1 : 0;
}

int scan_main(int argc, char **argv) {
  static scan_t scan;
  int status = configure(&scan, argc, argv);
  return status >= 0 ? status : run(&scan);
}
