/* main.c: `iccm`, the command-line client. Options, the table of commands, and how the process ends.
 *
 * Every way out gives one of the exit codes in exit_codes.h. SIGINT ends at once with 130 (`canary` sums up
 * first). A reader of stdout that leaves early (`iccm … | head`) is no error; output that cannot be written
 * for another reason is.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <iccm_service.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "commands.h"
#include "exit_codes.h"
#include "print.h"
#include "error_report.h"

enum { DEFAULT_WIDTH = 80, ANY_ARGS = INT_MAX };

enum option_id {
  OPTION_HELP = 256, /* above all characters */
  OPTION_VERSION,
  OPTION_JSON,
  OPTION_VERBOSE,
  OPTION_TIMEOUT,
  OPTION_COUNT,
  OPTION_CONNECTIONS,
  OPTION_IN_FLIGHT,
  OPTION_SECONDS,
  OPTION_SERVER_PID,
  OPTION_TRACE,
  OPTION_TOKEN,
  OPTION_INSECURE,
  OPTION_COMPONENT,
  OPTION_LEVEL,
  OPTION_TEXT,
  OPTION_SINCE,
  OPTION_UNTIL,
  OPTION_LINES,
  OPTION_FOLLOW,
  OPTION_LATE,
  OPTION_PROGRESS
};

#define BIT(id) (1u << ((id)-OPTION_HELP))

static const struct option option_table[] = {
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"json", no_argument, NULL, OPTION_JSON},
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"count", required_argument, NULL, OPTION_COUNT},
    {"connections", required_argument, NULL, OPTION_CONNECTIONS},
    {"in-flight", required_argument, NULL, OPTION_IN_FLIGHT},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"server-pid", required_argument, NULL, OPTION_SERVER_PID},
    {"trace", required_argument, NULL, OPTION_TRACE},
    {"token", required_argument, NULL, OPTION_TOKEN},
    {"insecure", no_argument, NULL, OPTION_INSECURE},
    {"component", required_argument, NULL, OPTION_COMPONENT},
    {"level", required_argument, NULL, OPTION_LEVEL},
    {"text", required_argument, NULL, OPTION_TEXT},
    {"since", required_argument, NULL, OPTION_SINCE},
    {"until", required_argument, NULL, OPTION_UNTIL},
    {"lines", required_argument, NULL, OPTION_LINES},
    {"follow", no_argument, NULL, OPTION_FOLLOW},
    {"late", required_argument, NULL, OPTION_LATE},
    {"progress", no_argument, NULL, OPTION_PROGRESS},
    {NULL, 0, NULL, 0},
};

static const unsigned common_options = BIT(OPTION_HELP) | BIT(OPTION_VERSION) | BIT(OPTION_JSON) |
                                       BIT(OPTION_VERBOSE) | BIT(OPTION_TIMEOUT) | BIT(OPTION_TOKEN) |
                                       BIT(OPTION_INSECURE);

typedef struct command {
  const char *name;
  int min_args, max_args; /* behind the name: URL, TOOL, arguments */
  unsigned own_options;
  int (*run)(const options_t *options, const print_t *out);
  const char *help;
} command_t;

#define ARGUMENTS_HELP                                                                                       \
  "Arguments are one JSON object, - to read that object from standard input, or\n"                           \
  "words key=value. A value has the type that the tool's schema says; where that\n"                          \
  "allows text, it is text, quotes included, unless it is JSON of another type\n"                            \
  "allowed. Where the schema does not say, valid JSON is JSON, all else text. The\n"                         \
  "value of key:=value is always JSON:\n"                                                                    \
  "  text=hello  times=3  tags='[\"a\",\"b\"]'  code:='\"5\"'\n"

/* clang-format off */
static const command_t commands[] = {
    {"list", 0, 1, 0, list_run,
     "Usage: iccm list [URL]\n\n"
     "Shows the server's tools and what arguments they take. URL: as of iccm logs.\n"},
    {"call", 2, ANY_ARGS, BIT(OPTION_TRACE) | BIT(OPTION_PROGRESS), call_run,
     "Usage: iccm call [--progress] [--trace ID] URL TOOL [JSON | - | key=value ...]\n\n"
     "Calls a tool and prints its answer: lines of a log as iccm logs does, rows as a\n"
     "table, whose cells a tab parts where it is not for a terminal; with --json as it\n"
     "came.\n\n"
     "  --progress         shows on standard error how far the call is, if the server\n"
     "                     reports it: a bar on a terminal, else a line a change\n"
     "  --trace ID         the trace id of the call, at most 128 bytes; new: makes one\n"
     "                     and tells it on standard error\n\n" ARGUMENTS_HELP},
    {"ping", 1, 1, BIT(OPTION_COUNT), ping_run,
     "Usage: iccm ping [--count N] URL\n\n"
     "Connects and measures round trips.\n\n"
     "  --count N          how many (default 4)\n"},
    {"bench", 2, ANY_ARGS,
     BIT(OPTION_CONNECTIONS) | BIT(OPTION_IN_FLIGHT) | BIT(OPTION_SECONDS) | BIT(OPTION_SERVER_PID), bench_run,
     "Usage: iccm bench [OPTIONS] URL TOOL [JSON | - | key=value ...]\n\n"
     "Calls a tool as fast as the server answers, and measures. --timeout is that of\n"
     "each call. Errors are counted; the first of them gives the exit code.\n\n"
     "  --connections N    connections (default 64)\n"
     "  --in-flight N      calls in flight on each of them (default 16)\n"
     "  --seconds S        length of the measurement (default 5), after a warm-up\n"
     "  --server-pid PID   also tell calls per second of that process's CPU\n\n" ARGUMENTS_HELP},
    {"doctor", 1, 1, 0, doctor_run,
     "Usage: iccm doctor URL\n\n"
     "Goes to a server step by step: its name, its addresses, TLS, the upgrade to\n"
     "WebSocket, initialize, tools/list, pings, a large message, bad JSON. Says what\n"
     "fails, the likely cause and what to do. Calls none of the server's tools.\n"
     "The first failure gives the exit code; warnings do not count.\n\n"
     "--json: {\"url\",\"exit_code\",\"problems\",\"warnings\",\"ms\",\"findings\":[{\"stage\",\n"
     "\"verdict\",\"address\",\"ms\",\"what\",\"name\",\"cause\",\"to_do\"}]}\n"},
    {"bridge", 1, 1, BIT(OPTION_TRACE), bridge_run,
     "Usage: iccm bridge [--trace ID] URL\n\n"
     "For MCP hosts that only speak stdio: passes on each line of standard input to\n"
     "the server and each message of the server to standard output. Connects again\n"
     "by itself: requests in flight then fail, new ones wait up to --timeout, which\n"
     "is the limit of each. Ends when standard input does and all is answered.\n\n"
     "  --trace ID         the trace id of calls that have none, at most 128 bytes;\n"
     "                     new: makes one and tells it on standard error\n\n"
     "{\"mcpServers\":{\"godot\":{\"command\":\"iccm\",\n"
     "  \"args\":[\"bridge\",\"ws://localhost:9060\"]}}}\n"},
    {"listen", 0, 1, 0, listen_run,
     "Usage: iccm listen [PORT]\n\n"
     "A server that shows all it receives and sends, until Ctrl-C: > came, < went,\n"
     "- happened, each behind the connection's number. Knows initialize, ping,\n"
     "tools/list (no tools) and tools/call of any tool. PORT is 9000 unless given.\n"
     "Pages of browsers are admitted as by a server: ICCM_ALLOWED_ORIGINS and\n"
     "ICCM_ALLOWED_HOSTS add to these.\n\n"
     "--json: a line {\"guest\",\"event\":\"received|sent|note\",\"text\"} each.\n"},
    {"logs", 0, 1,
     BIT(OPTION_COMPONENT) | BIT(OPTION_LEVEL) | BIT(OPTION_TRACE) | BIT(OPTION_TEXT) | BIT(OPTION_SINCE) |
         BIT(OPTION_UNTIL) | BIT(OPTION_LINES) | BIT(OPTION_FOLLOW),
     logs_run,
     "Usage: iccm logs [-f] [OPTIONS] [URL]\n\n"
     "Shows lines of Godot's log, oldest first, times in UTC. URL is GODOT_URL unless\n"
     "given, or ws://godot-mcp:9060 where that name is known, or ws://localhost:9060.\n"
     "--timeout is that of each reading of the log.\n\n"
     "  --component NAME   lines of this component\n"
     "  --level LEVEL      of this level and above: TRACE, DEBUG, INFO, WARN, ERROR\n"
     "  --trace ID         of this trace\n"
     "  --text WORDS       with these words in the message\n"
     "  --since WHEN       not older: 30s, 15m, 2h, 3d, 1w ago, or a time (ISO 8601)\n"
     "  --until WHEN       not newer; of a date alone, its whole day\n"
     "  --lines N          at most the newest N (default 100; with --since 10000)\n"
     "  -f, --follow       then show what comes, until Ctrl-C; goes on when Godot\n"
     "                     was away\n\n"
     "--json: a line for each, as Godot has it.\n"},
    {"stats", 0, 1, 0, stats_run,
     "Usage: iccm stats [URL]\n\n"
     "Shows what a server built with this library counts (GET /metrics): connections,\n"
     "calls by tool and outcome and how long they took, refusals, and the component's\n"
     "own. Percentiles are estimates from a histogram. URL: as of iccm logs.\n\n"
     "--json: {\"server\":{},\"calls\":[],\"refusals\":[],\"metrics\":[]}\n"},
    {"ready", 0, 1, 0, ready_run,
     "Usage: iccm ready [URL]\n\n"
     "Asks a server built with this library whether it has all that it needs (GET\n"
     "/readyz). Exit code 5: it lacks something, and says what.\n"
     "URL: as of iccm logs.\n\n"
     "--json: {\"ready\":true}\n"},
    {"trace", 1, 2, 0, trace_run,
     "Usage: iccm trace ID [URL]\n\n"
     "Shows one request on its way through all components: the calls that the lines of\n"
     "its trace in Godot's log name, as a tree, with when each began, how long it took\n"
     "and how it ended, and the lines below them. Components log their calls at level\n"
     "TRACE, errors always. Exit code 1: there are no lines of it. URL: as of iccm\n"
     "logs.\n\n"
     "--json: {\"trace_id\",\"calls\":[{\"span_id\",\"parent_span_id\",\"depth\",\n"
     "\"component\",\"tool\",\"start_ms\",\"duration_ms\",\"outcome\",\"error\"}],\n"
     "\"lines\":[{\"span_id\",\"depth\",\"start_ms\",\"line\"}]}\n"},
    {"canary", 0, 1, BIT(OPTION_SECONDS) | BIT(OPTION_LATE), canary_run,
     "Usage: iccm canary [--seconds N] [--late SECONDS] [URL]\n\n"
     "Logs a line a second by Godot, reads it back, and says once a minute, or when\n"
     "there is trouble, what was logged, read, lost, doubled and late; at the end all\n"
     "of it. Ctrl-C and SIGTERM end it. Exit code 5: something was lost, doubled or\n"
     "late. URL: as of iccm logs. --timeout is that of each call.\n\n"
     "  --seconds N        how long (default: for ever)\n"
     "  --late SECONDS     a line that is not there by then is late (default 30)\n\n"
     "--json: a line for each report: {\"time\",\"event\":\"status|trouble|summary\",\n"
     "\"trace_id\",\"logged\",\"read\",\"lost\",\"doubled\",\"late\",\"missing\",\"refused\",\n"
     "\"unsure\",\"slowest_ms\"}\n"},
    {"dead", 1, 3, 0, dead_run,
     "Usage: iccm dead list|replay|discard [N] [URL]\n\n"
     "What Godot keeps of log entries that its store has refused for good, the oldest\n"
     "first, N of them or all: list shows time, reason and entry, replay gives them\n"
     "back to the queue, unless they were cut or are no text, discard removes them.\n"
     "URL: as of iccm logs.\n\n"
     "--json: of list a line for each: {\"at\",\"reason\",\"entry\",\"id\"}; entry_base64\n"
     "where the entry is no text, cut_from where it is not whole. Of the others\n"
     "{\"replayed\",\"kept\"} or {\"discarded\"}\n"},
    {"new", 1, 1, 0, new_run,
     "Usage: iccm new NAME\n\n"
     "Writes a component to start from into a new directory NAME: its source with two\n"
     "tools, a test that calls them, meson.build, a systemd unit and a README.md that\n"
     "says how to build and run it. Prints the paths of the files. NAME has 1 to 64\n"
     "letters, digits, - and _, and begins with a letter or _. Nothing that exists is\n"
     "overwritten.\n\n"
     "--json: {\"files\":[]}\n"},
};

static const char general_help[] =
    "Usage: iccm COMMAND URL ...\n\n"
    "Talks to MCP servers over WebSocket. URL is ws://host:port/path, wss:// for TLS,\n"
    "or host:port.\n\n"
    "  iccm list [URL]                          show the server's tools\n"
    "  iccm call URL TOOL [JSON | key=value]    call a tool\n"
    "  iccm ping URL                            measure round trips\n"
    "  iccm bench URL TOOL [JSON | key=value]   measure the server\n"
    "  iccm doctor URL                          find out why it does not connect\n"
    "  iccm bridge URL                          stdio to WebSocket, for MCP hosts\n"
    "  iccm listen [PORT]                       show what clients send\n"
    "  iccm logs [URL]                          show Godot's log, and follow it\n"
    "  iccm stats [URL]                         show a server's counters\n"
    "  iccm ready [URL]                         does it have all it needs?\n"
    "  iccm trace ID [URL]                      one request across components\n"
    "  iccm canary [URL]                        watch over Godot's log\n"
    "  iccm dead list|replay|discard [N] [URL]  entries that the store refused\n"
    "  iccm new NAME                            write a component to start from\n"
    "  iccm COMMAND --help                      more about a command\n";

static const char common_help[] =
    "\nOptions of every command:\n"
    "  --timeout SECONDS  limit for everything, fractions allowed (default 30)\n"
    "  --json             one JSON value on standard output, for errors too:\n"
    "                     {\"error\":{\"code\",\"message\",\"hint\",\"data\",\"exit_code\"}}\n"
    "  --token TOKEN      the server's token; ICCM_AUTH_TOKEN in the environment is\n"
    "                     better: all users of this machine can see options\n"
    "  --insecure         with wss://, do not look at the server's certificate:\n"
    "                     anybody on the way can pretend to be the server\n"
    "  --verbose          log lines of the connection on standard error\n"
    "  --help, --version\n"
    "\nEnvironment: ICCM_AUTH_TOKEN is the server's token; ICCM_TLS_CA names a file\n"
    "with certificates to trust instead of this machine's; GODOT_URL is where Godot\n"
    "is; NO_COLOR: no colours; ICCM_ALLOWED_ORIGINS, ICCM_ALLOWED_HOSTS: whom listen\n"
    "admits.\n"
    "\nExit codes: 0 done; 1 wrong usage, nothing was sent, or a trace of nothing; 2\n"
    "the talk failed (JSON-RPC error, broken protocol, lost connection); 3 refused\n"
    "(401, 403); 4 no connection; 5 the tool failed; 6 no answer in time; 130\n"
    "interrupted.\n";
/* clang-format on */

/* What the command line said, before it is judged as a whole. */
typedef struct parsed {
  options_t options;
  unsigned given;      /* BIT() of each option given */
  char bad_option[64]; /* "": none */
  const char *bad_reason;
} parsed_t;

static bool parse_int(const char *text, int min, int max, int *out) {
  char *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value < min || value > max)
    return false;
  *out = (int)value;
  return true;
}

static bool parse_seconds(const char *text, double min, double max, double *out) {
  char *end;
  double value = strtod(text, &end);
  if (end == text || *end != '\0' || !(value >= min && value <= max))
    return false;
  *out = value;
  return true;
}

/* Where an option's text goes, which its command judges; NULL: it has none. */
static const char **text_option(options_t *options, int id) {
  switch (id) {
  case OPTION_TRACE:
    return &options->trace;
  case OPTION_COMPONENT:
    return &options->component;
  case OPTION_LEVEL:
    return &options->level;
  case OPTION_TEXT:
    return &options->text;
  case OPTION_SINCE:
    return &options->since;
  case OPTION_UNTIL:
    return &options->until;
  default:
    return NULL;
  }
}

/* NULL, or what the option's value must be. */
static const char *set_option(options_t *options, int id, const char *value) {
  double seconds = 0;
  const char **text = text_option(options, id);
  if (text != NULL)
    *text = value;
  switch (id) {
  case OPTION_JSON:
    options->json = true;
    return NULL;
  case OPTION_VERBOSE:
    options->verbose = true;
    return NULL;
  case OPTION_TIMEOUT:
    if (!parse_seconds(value, 0.001, 86400, &seconds))
      return "takes seconds from 0.001 to 86400";
    options->timeout_ms = (uint64_t)(seconds * 1000 + 0.5);
    return NULL;
  case OPTION_COUNT:
    return parse_int(value, 1, 1000000, &options->count) ? NULL : "takes a number from 1 to 1000000";
  case OPTION_CONNECTIONS:
    return parse_int(value, 1, 10000, &options->connections) ? NULL : "takes a number from 1 to 10000";
  case OPTION_IN_FLIGHT:
    return parse_int(value, 1, 1024, &options->in_flight) ? NULL : "takes a number from 1 to 1024";
  case OPTION_LATE:
    return parse_seconds(value, 0.1, 3600, &options->late_seconds) ? NULL : "takes seconds from 0.1 to 3600";
  case OPTION_SECONDS:
    options->seconds_given = true;
    return parse_seconds(value, 0.1, 86400, &options->seconds) ? NULL : "takes seconds from 0.1 to 86400";
  case OPTION_TOKEN:
    return setenv("ICCM_AUTH_TOKEN", value, 1) == 0
               ? NULL
               : "is too much for this machine's memory"; /* read there */
  case OPTION_INSECURE:
    options->insecure = true;
    return NULL;
  case OPTION_LINES:
    return parse_int(value, 1, 1000000, &options->lines) ? NULL : "takes a number from 1 to 1000000";
  case OPTION_FOLLOW:
    options->follow = true;
    return NULL;
  case OPTION_PROGRESS:
    options->progress = true;
    return NULL;
  case OPTION_SERVER_PID:
    return parse_int(value, 1, INT_MAX, &options->server_pid) ? NULL : "takes the id of a process";
  default:
    return NULL; /* --help, --version, and texts */
  }
}

/* Remembers the first option that is wrong. */
static void record_bad_option(parsed_t *parsed, const char *dashes, const char *name, const char *cause) {
  if (parsed->bad_option[0] == '\0') {
    snprintf(parsed->bad_option, sizeof parsed->bad_option, "%s%s", dashes, name);
    parsed->bad_reason = cause;
  }
}

/* Goes through all options even after a wrong one: --json decides how that is told. */
static void parse(parsed_t *parsed, int argc, char **argv) {
  int id, index;
  opterr = 0;
  while ((id = getopt_long(argc, argv, ":hf", option_table, &index)) != -1) {
    const char letter[] = {(char)optopt, '\0'};
    if (id == ':') {
      record_bad_option(parsed, "", argv[optind - 1], "needs a value");
    } else if (id == '?' && optopt > 0 && optopt < OPTION_HELP) {
      record_bad_option(parsed, "-", letter, "is not an option");
    } else if (id == '?') {
      record_bad_option(parsed, "", argv[optind - 1], "is not an option");
    } else {
      id = id == 'h' ? OPTION_HELP : id == 'f' ? OPTION_FOLLOW : id;
      parsed->given |= BIT(id);
      const char *cause = set_option(&parsed->options, id, optarg);
      if (cause != NULL)
        record_bad_option(parsed, "--", option_table[index].name, cause);
    }
  }
}

static const command_t *find_command(const char *name) {
  for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
    if (strcmp(commands[i].name, name) == 0)
      return &commands[i];
  }
  return NULL;
}

static const char *find_unsupported_option(const command_t *command, unsigned given) {
  for (const struct option *option = option_table; option->name != NULL; option++) {
    if (given & BIT(option->val) & ~(common_options | command->own_options))
      return option->name;
  }
  return NULL;
}

static print_t stdout_print(void) {
  print_t out = {.file = stdout};
  struct winsize size;
  if (!isatty(STDOUT_FILENO))
    return out;
  const char *no_colour = getenv("NO_COLOR");
  out.colour = no_colour == NULL || *no_colour == '\0';
  out.width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : DEFAULT_WIDTH;
  return out;
}

static int run_command(parsed_t *parsed, const print_t *out, int arg_count, char *const *args) {
  options_t *options = &parsed->options;
  const command_t *command = arg_count > 0 ? find_command(args[0]) : NULL;
  if (parsed->given & BIT(OPTION_HELP)) {
    fputs(command != NULL ? command->help : general_help, out->file);
    fputs(common_help, out->file);
    return ICCM_OK;
  }
  if (parsed->given & BIT(OPTION_VERSION)) {
    fputs("iccm " ICCM_VERSION "\n", out->file);
    return ICCM_OK;
  }
  char shown[MCP_SHOWN_SIZE]; /* the address may stand in the wrong place */
  if (parsed->bad_option[0] != '\0')
    return report_usage_error(options, out, "%s %s; see iccm --help",
                              mcp_redact_setting(NULL, parsed->bad_option, shown), parsed->bad_reason);
  if (command == NULL && arg_count > 0)
    return report_usage_error(options, out, "%s is not a command; see iccm --help",
                              mcp_redact_setting(NULL, args[0], shown));
  if (command == NULL)
    return report_usage_error(options, out, "no command given; see iccm --help");
  const char *unsupported = find_unsupported_option(command, parsed->given);
  if (unsupported != NULL)
    return report_usage_error(options, out, "--%s is no option of iccm %s", unsupported, command->name);
  if (arg_count - 1 < command->min_args || arg_count - 1 > command->max_args)
    return report_usage_error(options, out, "too %s arguments; see iccm %s --help",
                              arg_count - 1 < command->min_args ? "few" : "many", command->name);
  options->url = args[1];
  options->tool = command->min_args > 1 ? args[2] : NULL;
  options->args = args + 1 + command->min_args;
  options->arg_count = arg_count - 1 - command->min_args;
  return command->run(options, out);
}

static void on_log(int level, const char *part, const char *text, void *arg) {
  const print_t *err = arg;
  fprintf(err->file, "%s %s: ", mcp_log_level_name(level), part);
  print_line(err, text, strlen(text), 0);
  fputc('\n', err->file);
}

static void on_warning(int level, const char *part, const char *text, void *arg) {
  const print_t *err = arg;
  (void)level;
  (void)part;
  fputs("iccm: warning: ", err->file);
  print_line(err, text, strlen(text), 0);
  fputc('\n', err->file);
}

static void on_interrupt(int number) {
  (void)number;
  _exit(ICCM_INTERRUPTED);
}

/* The event loop must not get the number of a standard stream that whoever started this has closed. */
static void open_missing_std_streams(void) {
  int fd;
  do
    fd = open("/dev/null", O_RDONLY); /* writing to it fails, as it did */
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0)
    close(fd);
}

int main(int argc, char **argv) {
  parsed_t parsed = {.options = {.timeout_ms = 30000,
                                 .count = 4,
                                 .connections = 64,
                                 .in_flight = 16,
                                 .seconds = 5,
                                 .late_seconds = 30}};
  open_missing_std_streams();
  signal(SIGINT, on_interrupt);
  signal(SIGPIPE, SIG_IGN);
  setlocale(LC_CTYPE, "C.UTF-8"); /* wcwidth() */
  parse(&parsed, argc, argv);
  print_t out = stdout_print(), err = {.file = stderr};
  mcp_set_log_handler(on_warning, MCP_LOG_WARN, &err);
  mcp_env_check();
  /* Commands report errors themselves: the library's own lines are shown only when asked for. */
  mcp_set_log_handler(on_log, parsed.options.verbose ? MCP_LOG_TRACE : MCP_LOG_ERROR + 1, &err);
  return report_output_error(run_command(&parsed, &out, argc - optind, argv + optind));
}
