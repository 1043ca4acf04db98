/* feed.c: sends the lines of a text to Godot's logger_log, one call for each line, as a component would.
 *
 *     feed [--component NAME] [--level LEVEL] [--deadline SECONDS] URL [FILE]
 *
 * The file or standard input is read piece by piece; up to 64 calls are in flight on one connection; each
 * response frees a slot for the next line; at the end one line reports the number of lines accepted. Each
 * entry has an id made here, so an entry that is sent again is stored once.
 *
 * Failures: after a response that asks to retry (queue unavailable, server busy), a lost connection or a
 * timeout, the entry is sent again after a pause, until its deadline (60 s by default). A refused entry is
 * reported and skipped. After an entry has missed its deadline nothing more is read; entries in flight are
 * completed. Bytes that are not UTF-8 become U+FFFD; a line of more than 64 KiB becomes several entries. A
 * carriage return before a newline is not part of the line; empty lines are skipped.
 *
 * Exit status: 0 all lines were accepted; 1 not all; 2 invalid arguments. */
#include "iccm_network.h"
#include "iccm_service.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum {
  IN_FLIGHT = 64, /* calls that a server accepts on one connection at a time */
  LINE_BYTES = 64 * 1024,
  ATTEMPT_MS = 10000,
  PAUSE_MS = 100,
  PAUSE_MAX_MS = 2000,
  REPORTS_MAX = 10 /* refusals that are printed; further ones are only counted */
};

typedef struct line {
  struct feeder *feeder;
  uv_timer_t timer; /* runs during the pause before a retry */
  char id[MCP_UUID_SIZE];
  char *text; /* owned, UTF-8; NULL: the slot is free */
  size_t len;
  uint64_t number, deadline_ms, pause_ms;
} line_t;

typedef struct feeder {
  uv_loop_t loop;
  mcp_client_t *client;
  const char *component, *level;
  uint64_t line_timeout_ms;
  uv_file file;
  uv_fs_t read;
  bool reading, ended; /* ended: nothing more will be read */
  bool pumping;        /* pump() is running and will see changes */
  char buffer[LINE_BYTES];
  size_t start, end; /* unprocessed part of the buffer */
  line_t lines[IN_FLIGHT];
  unsigned in_flight;
  uint64_t count, accepted, refused, undelivered;
} feeder_t;

static void pump(feeder_t *feeder);

/* Returns the length of the well-formed sequence that starts here (RFC 3629 section 4), or 0. */
static size_t utf8_length(const unsigned char *at, size_t left) {
  if (at[0] < 0x80)
    return 1;
  size_t len = at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;
  if (len == 0 || len > left)
    return 0;
  uint32_t code = at[0] & (0x7fu >> len);
  for (size_t i = 1; i < len; i++) {
    if ((at[i] & 0xc0) != 0x80)
      return 0;
    code = code << 6 | (at[i] & 0x3f);
  }
  if (len == 3)
    return code >= 0x800 && (code < 0xd800 || code > 0xdfff) ? len : 0;
  return len == 2 || (code >= 0x10000 && code <= 0x10ffff) ? len : 0;
}

/* Copies text with U+FFFD for each invalid byte. Returns NULL if out of memory. */
static char *clean_copy(const char *text, size_t len, size_t *clean_len) {
  char *clean = malloc(3 * len + 1);
  size_t used = 0;
  for (size_t at = 0; clean != NULL && at < len;) {
    size_t valid = utf8_length((const unsigned char *)text + at, len - at);
    memcpy(clean + used, valid != 0 ? text + at : "\xef\xbf\xbd", valid != 0 ? valid : 3);
    used += valid != 0 ? valid : 3;
    at += valid != 0 ? valid : 1;
  }
  *clean_len = used;
  return clean;
}

static void finish_line(line_t *line) {
  free(line->text);
  line->text = NULL;
  line->feeder->in_flight--;
  pump(line->feeder);
}

/* Prints a server's message with terminal control characters escaped. */
static void report(const line_t *line, uint64_t times, const char *what, const char *reason) {
  char shown[MCP_PRINTABLE_SIZE];
  if (times > REPORTS_MAX)
    return;
  fprintf(stderr, "feed: line %" PRIu64 " %s: ", line->number, what);
  for (size_t left = strlen(reason), used; left > 0; reason += used, left -= used) {
    used = mcp_printable_next(reason, left, shown);
    fputs(shown, stderr);
  }
  fputc('\n', stderr);
}

/* True for errors that a retry cannot fix; all others are temporary. */
static bool is_final(int status) {
  switch (status) {
  case MCP_INVALID_REQUEST:
  case MCP_METHOD_NOT_FOUND:
  case MCP_INVALID_PARAMS:
  case MCP_EREFUSED:
  case MCP_EENCODE:
  case MCP_ETOOBIG:
    return true;
  default:
    return false;
  }
}

static void attempt(line_t *line);

static void on_pause_over(uv_timer_t *timer) {
  attempt(timer->data);
}

static void try_again(line_t *line, int status, const char *reason) {
  feeder_t *feeder = line->feeder;
  if (is_final(status)) {
    report(line, ++feeder->refused, "refused", reason);
    finish_line(line);
  } else if (uv_now(&feeder->loop) + line->pause_ms >= line->deadline_ms) {
    report(line, ++feeder->undelivered, "given up", reason);
    feeder->ended = true;
    feeder->start = feeder->end = 0;
    finish_line(line);
  } else {
    uv_timer_start(&line->timer, on_pause_over, line->pause_ms, 0);
    line->pause_ms = line->pause_ms * 2 < PAUSE_MAX_MS ? line->pause_ms * 2 : PAUSE_MAX_MS;
  }
}

static void on_answer(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  line_t *line = arg;
  (void)client;
  if (result->message != NULL) {
    try_again(line, result->status, result->message);
    return;
  }
  line->feeder->accepted++;
  finish_line(line);
}

/* The arguments of a call. The text is copied, since a call may outlive its line. */
static yyjson_mut_doc *arguments(const line_t *line) {
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  if (doc == NULL)
    return NULL;
  yyjson_mut_val *root = yyjson_mut_obj(doc);
  yyjson_mut_doc_set_root(doc, root);
  if (yyjson_mut_obj_add_strcpy(doc, root, "id", line->id) &&
      yyjson_mut_obj_add_strcpy(doc, root, "component", line->feeder->component) &&
      yyjson_mut_obj_add_strcpy(doc, root, "level", line->feeder->level) &&
      yyjson_mut_obj_add_strncpy(doc, root, "message", line->text, line->len))
    return doc;
  yyjson_mut_doc_free(doc);
  return NULL;
}

static void attempt(line_t *line) {
  feeder_t *feeder = line->feeder;
  uint64_t now_ms = uv_now(&feeder->loop);
  uint64_t left_ms = line->deadline_ms > now_ms ? line->deadline_ms - now_ms : 1;
  yyjson_mut_doc *args = arguments(line);
  int status =
      args == NULL
          ? MCP_ENOMEM
          : mcp_client_call(feeder->client, "logger_log", args,
                            &(mcp_call_options_t){.timeout_ms = left_ms < ATTEMPT_MS ? left_ms : ATTEMPT_MS},
                            on_answer, line);
  if (status != 0)
    try_again(line, status, mcp_strerror(status));
}

static void start_line(feeder_t *feeder, const char *text, size_t len) {
  line_t *line = feeder->lines;
  while (line->text != NULL)
    line++;
  line->number = feeder->count;
  line->text = clean_copy(text, len, &line->len);
  feeder->in_flight++;
  mcp_uuid_new(line->id);
  line->deadline_ms = uv_now(&feeder->loop) + feeder->line_timeout_ms;
  line->pause_ms = PAUSE_MS;
  if (line->text == NULL)
    try_again(line, MCP_EENCODE, "out of memory");
  else
    attempt(line);
}

/* Returns the length of the next entry in the buffer, newline included; 0: read more first. A line that
 * fills the buffer is cut before its last character. */
static size_t next_entry(const feeder_t *feeder) {
  const char *text = feeder->buffer + feeder->start;
  size_t len = feeder->end - feeder->start;
  const char *newline = memchr(text, '\n', len);
  if (newline != NULL)
    return (size_t)(newline - text) + 1;
  if (len < LINE_BYTES)
    return feeder->ended ? len : 0;
  do
    len--;
  while (len > LINE_BYTES - 4 && (text[len] & 0xc0) == 0x80);
  return len;
}

static void on_read(uv_fs_t *request) {
  feeder_t *feeder = request->data;
  ssize_t count = request->result;
  uv_fs_req_cleanup(request);
  feeder->reading = false;
  if (count < 0) {
    fprintf(stderr, "feed: cannot read: %s\n", uv_strerror((int)count));
    feeder->undelivered++;
  }
  if (count > 0 && !feeder->ended)
    feeder->end += (size_t)count;
  else
    feeder->ended = true;
  pump(feeder);
}

static void read_more(feeder_t *feeder) {
  feeder->end -= feeder->start;
  memmove(feeder->buffer, feeder->buffer + feeder->start, feeder->end);
  feeder->start = 0;
  uv_buf_t space = uv_buf_init(feeder->buffer + feeder->end, (unsigned)(LINE_BYTES - feeder->end));
  feeder->read.data = feeder;
  feeder->reading = uv_fs_read(&feeder->loop, &feeder->read, feeder->file, &space, 1, -1, on_read) == 0;
  if (!feeder->reading) {
    fprintf(stderr, "feed: cannot read: out of memory\n");
    feeder->undelivered++;
    feeder->ended = true;
  }
}

static void on_client_closed(mcp_client_t *client, void *arg) {
  feeder_t *feeder = arg;
  mcp_client_free(client);
  for (unsigned i = 0; i < IN_FLIGHT; i++)
    uv_close((uv_handle_t *)&feeder->lines[i].timer, NULL);
}

/* Starts all work that is possible now; every callback ends with it. */
static void pump(feeder_t *feeder) {
  if (feeder->pumping)
    return;
  feeder->pumping = true;
  for (size_t len; feeder->in_flight < IN_FLIGHT && (len = next_entry(feeder)) != 0;) {
    const char *text = feeder->buffer + feeder->start;
    size_t mark = feeder->count == 0 ? mcp_bom_length(text, len) : 0;
    feeder->start += len;
    feeder->count++;
    text += mark;
    len -= mark;
    bool ended = len > 0 && text[len - 1] == '\n';
    len -= ended;
    len -= ended && len > 0 && text[len - 1] == '\r';
    if (len != 0)
      start_line(feeder, text, len);
  }
  feeder->pumping = false;
  if (feeder->in_flight < IN_FLIGHT && !feeder->ended && !feeder->reading)
    read_more(feeder);
  if (feeder->ended && !feeder->reading && feeder->in_flight == 0)
    mcp_client_close(feeder->client, on_client_closed, feeder);
}

static const char help[] =
    "usage: feed [--component NAME] [--level LEVEL] [--deadline SECONDS] URL [FILE]\n"
    "\n"
    "Sends FILE, or standard input, line by line to the tool logger_log at URL\n"
    "(ws://host:port). Each line is logged once; empty lines are skipped.\n"
    "\n"
    "  --component NAME    component of the lines (feed)\n"
    "  --level LEVEL       TRACE, DEBUG, INFO, WARN or ERROR (INFO)\n"
    "  --deadline SECONDS  time limit for each line, 1 to 86400 (60); feed ends when one\n"
    "                      is not accepted in time\n"
    "  --help, --version\n"
    "\n"
    "Environment: ICCM_AUTH_TOKEN is the server's token; ICCM_TLS_CA names a file\n"
    "with certificates to trust instead of the system's; LOG_LEVEL (INFO) is the\n"
    "minimum level of log lines on standard error.\n"
    "\n"
    "Exit status: 0 every line was accepted, 1 not all of them, 2 invalid arguments.\n";

/* Prints a line about invalid arguments. Returns the exit status 2. */
static int usage(const char *what, const char *why) {
  fprintf(stderr, "feed: %s%s; see feed --help\n", what, why);
  return 2;
}

/* Prints help or version. Returns the exit status. */
static int say(char *option) {
  char name[] = "feed", *words[] = {name, option, NULL};
  return mcp_service_command_line(2, words, name, FEED_VERSION, help);
}

/* Handles one option. Returns -1 to continue, else the exit status. */
static int take_option(feeder_t *feeder, int option, char **argv) {
  char help_option[] = "--help", version_option[] = "--version", *end = NULL;
  switch (option) {
  case 'h':
    return say(help_option);
  case 'V':
    return say(version_option);
  case 'c':
    feeder->component = optarg;
    return -1;
  case 'l':
    feeder->level = mcp_log_level_name(mcp_log_level_parse(optarg));
    return feeder->level != NULL ? -1 : usage("--level", " takes TRACE, DEBUG, INFO, WARN or ERROR");
  case 'd': {
    long seconds = strtol(optarg, &end, 10);
    feeder->line_timeout_ms = (uint64_t)seconds * 1000;
    return seconds >= 1 && seconds <= 86400 && *end == '\0'
               ? -1
               : usage("--deadline", " takes seconds from 1 to 86400");
  }
  default:
    return usage(argv[optind - 1], option == ':' ? " needs a value" : " is not an option");
  }
}

/* Reads the command line. Returns -1 to continue, else the exit status. */
static int configure(feeder_t *feeder, int argc, char **argv) {
  static const struct option options[] = {
      {"component", required_argument, NULL, 'c'}, {"level", required_argument, NULL, 'l'},
      {"deadline", required_argument, NULL, 'd'},  {"help", no_argument, NULL, 'h'},
      {"version", no_argument, NULL, 'V'},         {NULL, 0, NULL, 0}};
  mcp_env_check();
  opterr = 0;
  for (int option; (option = getopt_long(argc, argv, ":hV", options, NULL)) != -1;) {
    int status = take_option(feeder, option, argv);
    if (status >= 0)
      return status;
  }
  if (argc - optind < 1 || argc - optind > 2)
    return usage(argc - optind < 1 ? "no address" : "too many arguments", "");
  if (argc - optind == 2 && (feeder->file = open(argv[optind + 1], O_RDONLY | O_CLOEXEC)) < 0) {
    const char *why = strerror(errno);
    char shown[MCP_SHOWN_SIZE]; /* it may be a misplaced address with a secret */
    fprintf(stderr, "feed: %s: %s\n", mcp_redact_setting(NULL, argv[optind + 1], shown), why);
    return 1;
  }
  return -1;
}

/* Sends all lines. Returns the exit status. */
static int feed(feeder_t *feeder, const char *url) {
  uint64_t began = uv_hrtime();
  if (uv_loop_init(&feeder->loop) != 0)
    return 1;
  feeder->client = mcp_client_new(&feeder->loop, url);
  if (feeder->client == NULL) {
    fprintf(stderr, "feed: %s\n", mcp_last_error());
    uv_loop_close(&feeder->loop);
    return 2;
  }
  for (unsigned i = 0; i < IN_FLIGHT; i++) {
    feeder->lines[i].feeder = feeder;
    feeder->lines[i].timer.data = &feeder->lines[i];
    uv_timer_init(&feeder->loop, &feeder->lines[i].timer);
  }
  pump(feeder);
  uv_run(&feeder->loop, UV_RUN_DEFAULT);
  uv_loop_close(&feeder->loop);
  double seconds = (double)(uv_hrtime() - began) / 1e9;
  printf("%" PRIu64 " lines accepted as %s in %.1f s, %" PRIu64 " refused, %" PRIu64 " not delivered\n",
         feeder->accepted, feeder->component, seconds, feeder->refused, feeder->undelivered);
  return feeder->refused + feeder->undelivered == 0 ? 0 : 1;
}

int main(int argc, char **argv) {
  static feeder_t feeder = {
      .component = "feed", .level = "INFO", .line_timeout_ms = 60000, .file = STDIN_FILENO};
  int status = configure(&feeder, argc, argv);
  return status >= 0 ? status : feed(&feeder, argv[optind]);
}
