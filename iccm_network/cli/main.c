/* main.c: `iccm`, the command-line client: options, the table of commands, and the end of the process.
 *
 * The process always ends with one of the exit codes in exit_codes.h. SIGINT ends it at once with 130; the
 * commands bridge and canary finish first. A closed pipe on stdout (`iccm … | head`) is no error; any other
 * write error is.
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
  OPTION_PROGRESS,
  OPTION_NAME,
  OPTION_SERVER_VERSION,
  OPTION_DESCRIPTION,
  OPTION_AUTHOR,
  OPTION_COMMAND,
  OPTION_URL,
  OPTION_LISTEN,
  OPTION_STDIO
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
    {"name", required_argument, NULL, OPTION_NAME},
    {"server-version", required_argument, NULL, OPTION_SERVER_VERSION},
    {"description", required_argument, NULL, OPTION_DESCRIPTION},
    {"author", required_argument, NULL, OPTION_AUTHOR},
    {"command", required_argument, NULL, OPTION_COMMAND},
    {"url", required_argument, NULL, OPTION_URL},
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"stdio", no_argument, NULL, OPTION_STDIO}, /* see cut_program() */
    {NULL, 0, NULL, 0},
};

static const unsigned common_options = BIT(OPTION_HELP) | BIT(OPTION_VERSION) | BIT(OPTION_JSON) |
                                       BIT(OPTION_VERBOSE) | BIT(OPTION_TIMEOUT) | BIT(OPTION_TOKEN) |
                                       BIT(OPTION_INSECURE);

typedef struct command {
  const char *name;
  int min_args, max_args; /* after the name: URL, TOOL, arguments */
  unsigned own_options;
  int (*run)(const options_t *options, const print_t *out);
  const char *help;
} command_t;

#define STDIO_HELP                                                                                           \
  "  --stdio PROGRAM    start PROGRAM and use its standard input and output, in\n"                           \
  "                     place of URL; the words behind it are its arguments\n"

#define ARGUMENTS_HELP                                                                                       \
  "Arguments are one JSON object, - to read that object from standard input, or\n"                           \
  "key=value ... The tool's schema determines the type of a value: where it\n"                               \
  "allows text, the value is text, quotes included, unless it is JSON of another\n"                          \
  "allowed type. If the schema does not define the type, a value that is valid\n"                            \
  "JSON is JSON, any other is text. The value of key:=value is always JSON:\n"                               \
  "  text=hello  times=3  tags='[\"a\",\"b\"]'  code:='\"5\"'\n"

/* clang-format off */
static const command_t commands[] = {
    {"list", 0, 1, BIT(OPTION_STDIO), list_run,
     "Usage: iccm list [URL]\n"
     "       iccm list --stdio PROGRAM [ARGUMENT ...]\n\n"
     "Shows the server's tools and their arguments. URL: see iccm logs --help.\n\n" STDIO_HELP},
    {"call", 2, ANY_ARGS, BIT(OPTION_TRACE) | BIT(OPTION_PROGRESS) | BIT(OPTION_STDIO), call_run,
     "Usage: iccm call [--progress] [--trace ID] URL TOOL [JSON | - | key=value ...]\n"
     "       iccm call [OPTIONS] TOOL [JSON | - | key=value ...] --stdio PROGRAM ...\n\n"
     "Calls a tool and prints its result: log lines in the format of iccm logs, other\n"
     "rows as a table (with tabs between the cells if standard output is not a\n"
     "terminal). --json prints the result unchanged.\n\n"
     "  --progress         show the progress that the server reports on standard\n"
     "                     error: a bar on a terminal, else a line for each change\n"
     "  --trace ID         the trace id of the call, at most 128 bytes; \"new\" makes\n"
     "                     one and prints it on standard error\n" STDIO_HELP "\n" ARGUMENTS_HELP},
    {"ping", 1, 1, BIT(OPTION_COUNT) | BIT(OPTION_STDIO), ping_run,
     "Usage: iccm ping [--count N] URL\n"
     "       iccm ping [--count N] --stdio PROGRAM [ARGUMENT ...]\n\n"
     "Connects and measures round trips.\n\n"
     "  --count N          number of round trips (default 4)\n" STDIO_HELP},
    {"bench", 2, ANY_ARGS,
     BIT(OPTION_CONNECTIONS) | BIT(OPTION_IN_FLIGHT) | BIT(OPTION_SECONDS) | BIT(OPTION_SERVER_PID) |
         BIT(OPTION_STDIO),
     bench_run,
     "Usage: iccm bench [OPTIONS] URL TOOL [JSON | - | key=value ...]\n"
     "       iccm bench [OPTIONS] TOOL [JSON | - | key=value ...] --stdio PROGRAM ...\n\n"
     "Calls a tool as fast as the server responds, and measures the rate and the\n"
     "latency. --timeout applies to each call. Errors are counted; the first error\n"
     "determines the exit code.\n\n"
     "  --connections N    connections (default 64), or programs (default 1)\n"
     "  --in-flight N      calls in flight on each connection (default 16)\n"
     "  --seconds S        duration of the measurement (default 5), after a warm-up\n"
     "  --server-pid PID   also print the calls per CPU second of that process\n" STDIO_HELP "\n" ARGUMENTS_HELP},
    {"doctor", 1, 1, BIT(OPTION_STDIO), doctor_run,
     "Usage: iccm doctor URL\n"
     "       iccm doctor --stdio PROGRAM [ARGUMENT ...]\n\n"
     "Connects to a server step by step: its name, its addresses, TLS, the upgrade to\n"
     "WebSocket, initialize, tools/list, pings, a large message, bad JSON; over HTTP\n"
     "server/discover in place of the upgrade, and a stream of events in place of the\n"
     "pings. Or starts PROGRAM and checks its output, server/discover, initialize,\n"
     "tools/list, bad JSON, and that it ends when its input ends; its standard error\n"
     "is not shown. Reports each failure with its likely cause and what to do. Calls\n"
     "none of the server's tools. The first failure determines the exit code; warnings\n"
     "do not count.\n\n" STDIO_HELP "\n"
     "--json: {\"url\",\"exit_code\",\"problems\",\"warnings\",\"ms\",\"findings\":[{\"stage\",\n"
     "\"verdict\",\"address\",\"ms\",\"what\",\"name\",\"cause\",\"to_do\"}]}\n"},
    {"bridge", 1, 1, BIT(OPTION_TRACE) | BIT(OPTION_LISTEN) | BIT(OPTION_STDIO), bridge_run,
     "Usage: iccm bridge [--trace ID | --listen PORT] URL\n"
     "       iccm bridge [--trace ID | --listen PORT] --stdio PROGRAM [ARGUMENT ...]\n\n"
     "For MCP hosts that only support stdio: forwards each line of standard input to\n"
     "the server and each message of the server to standard output. Reconnects\n"
     "automatically: requests in flight then fail, new ones wait for the connection.\n"
     "--timeout applies to each request. Exits after the end of standard input, when\n"
     "all requests have a response.\n\n"
     "  --trace ID         the trace id of calls that have none, at most 128 bytes;\n"
     "                     \"new\" makes one and prints it on standard error\n"
     "  --listen PORT      instead of stdio, serve the tools of a server that only\n"
     "                     supports WebSocket or stdio over HTTP (path /mcp) and\n"
     "                     WebSocket, until Ctrl-C or SIGTERM; 0: a free port, which\n"
     "                     the log on standard error names. ICCM_AUTH_TOKEN, if set,\n"
     "                     is sent to the server and required from the callers\n" STDIO_HELP "\n"
     "{\"mcpServers\":{\"godot\":{\"command\":\"iccm\",\n"
     "  \"args\":[\"bridge\",\"ws://localhost:9060\"]}}}\n"},
    {"listen", 0, 1, 0, listen_run,
     "Usage: iccm listen [PORT]\n\n"
     "Runs a server that prints everything it receives and sends, until Ctrl-C. Each\n"
     "line begins with the number of the connection and > for received, < for sent,\n"
     "- for an event. It supports WebSocket and HTTP (POST, without sessions and\n"
     "streams), and answers initialize, server/discover, ping, tools/list (no tools)\n"
     "and tools/call with any tool name. The default PORT is 9000. The rules for\n"
     "browser pages are those of a server: ICCM_ALLOWED_ORIGINS and\n"
     "ICCM_ALLOWED_HOSTS admit further ones.\n\n"
     "--json: a line {\"guest\",\"event\":\"received|sent|note\",\"text\"} for each.\n"},
    {"logs", 0, 1,
     BIT(OPTION_COMPONENT) | BIT(OPTION_LEVEL) | BIT(OPTION_TRACE) | BIT(OPTION_TEXT) | BIT(OPTION_SINCE) |
         BIT(OPTION_UNTIL) | BIT(OPTION_LINES) | BIT(OPTION_FOLLOW),
     logs_run,
     "Usage: iccm logs [-f] [OPTIONS] [URL]\n\n"
     "Shows lines of Godot's log, oldest first, with times in UTC. The default URL is\n"
     "GODOT_URL; if that is not set, ws://godot-mcp:9060 if that name resolves, else\n"
     "ws://localhost:9060. --timeout applies to each query.\n\n"
     "  --component NAME   only lines of this component\n"
     "  --level LEVEL      this level and above: TRACE, DEBUG, INFO, WARN, ERROR\n"
     "  --trace ID         only lines of this trace\n"
     "  --text WORDS       only lines whose message contains these words\n"
     "  --since WHEN       start: 30s, 15m, 2h, 3d, 1w ago, or an ISO 8601 time\n"
     "  --until WHEN       end, in the same formats; a date includes its whole day\n"
     "  --lines N          at most the newest N (default 100; with --since 10000)\n"
     "  -f, --follow       then show new lines until Ctrl-C; reconnects if Godot\n"
     "                     becomes unavailable\n\n"
     "--json: one line for each, as Godot returns it.\n"},
    {"stats", 0, 1, 0, stats_run,
     "Usage: iccm stats [URL]\n\n"
     "Shows the metrics of a server built with iccm-network (GET /metrics):\n"
     "connections, calls by tool and outcome with their durations, refusals, and the\n"
     "component's own metrics. Percentiles are estimates from a histogram.\n"
     "URL: see iccm logs --help.\n\n"
     "--json: {\"server\":{},\"calls\":[],\"refusals\":[],\"metrics\":[]}\n"},
    {"ready", 0, 1, 0, ready_run,
     "Usage: iccm ready [URL]\n\n"
     "Checks whether all dependencies of a server built with iccm-network are\n"
     "available (GET /readyz). If not, prints the missing ones; exit code 5.\n"
     "URL: see iccm logs --help.\n\n"
     "--json: {\"ready\":true}\n"},
    {"trace", 1, 2, 0, trace_run,
     "Usage: iccm trace ID [URL]\n\n"
     "Shows one request across all components: the calls found in Godot's log lines\n"
     "with this trace id, as a tree, with the start, duration and outcome of each\n"
     "call and its other log lines. Components log calls at level TRACE; errors are\n"
     "always logged. Exit code 1: no lines found. URL: see iccm logs --help.\n\n"
     "--json: {\"trace_id\",\"calls\":[{\"span_id\",\"parent_span_id\",\"depth\",\n"
     "\"component\",\"tool\",\"start_ms\",\"duration_ms\",\"outcome\",\"error\"}],\n"
     "\"lines\":[{\"span_id\",\"depth\",\"start_ms\",\"line\"}]}\n"},
    {"canary", 0, 1, BIT(OPTION_SECONDS) | BIT(OPTION_LATE), canary_run,
     "Usage: iccm canary [--seconds N] [--late SECONDS] [URL]\n\n"
     "Checks Godot end to end: logs a line every second, reads it back, and counts\n"
     "the lines logged, read, lost, doubled and late. Reports once a minute, on each\n"
     "new problem, and at the end. Ctrl-C or SIGTERM stops it. Exit code 5: a line\n"
     "was lost, doubled or late. --timeout applies to each call.\n"
     "URL: see iccm logs --help.\n\n"
     "  --seconds N        duration (default: until stopped)\n"
     "  --late SECONDS     a line not read back after this time is late (default 30)\n\n"
     "--json: a line for each report: {\"time\",\"event\":\"status|trouble|summary\",\n"
     "\"trace_id\",\"logged\",\"read\",\"lost\",\"doubled\",\"late\",\"missing\",\"refused\",\n"
     "\"unsure\",\"slowest_ms\"}\n"},
    {"dead", 1, 3, 0, dead_run,
     "Usage: iccm dead list|replay|discard [N] [URL]\n\n"
     "Manages Godot's dead letters: log entries that the log store has permanently\n"
     "rejected. Applies to the N oldest ones, or to all. list shows time, reason and\n"
     "entry; replay puts them back into the queue, except those that are truncated or\n"
     "not text; discard removes them. URL: see iccm logs --help.\n\n"
     "--json: list prints a line for each: {\"at\",\"reason\",\"entry\",\"id\"}, with\n"
     "entry_base64 if the entry is not text, and cut_from if it is truncated. The\n"
     "others print {\"replayed\",\"kept\"} or {\"discarded\"}.\n"},
    {"new", 1, 1, 0, new_run,
     "Usage: iccm new NAME\n\n"
     "Creates a directory NAME with a component to start from: source code with two\n"
     "tools, a test that calls them, meson.build, a systemd unit, and a README.md\n"
     "that describes how to build and run it. Prints the paths of the files. NAME has\n"
     "1 to 64 letters, digits, - and _, and begins with a letter or _. Existing files\n"
     "are never overwritten.\n\n"
     "--json: {\"files\":[]}\n"},
    {"manifest", 2, ANY_ARGS,
     BIT(OPTION_NAME) | BIT(OPTION_SERVER_VERSION) | BIT(OPTION_DESCRIPTION) | BIT(OPTION_AUTHOR) |
         BIT(OPTION_COMMAND) | BIT(OPTION_URL),
     manifest_run,
     "Usage: iccm manifest server [OPTIONS] URL\n"
     "       iccm manifest mcpb [OPTIONS] URL [-- ARGUMENT ...]\n\n"
     "Prints a file that describes the running server at URL: server.json for the MCP\n"
     "registry; or manifest.json for an mcpb bundle, which desktop hosts install, with\n"
     "the server's tools and the command that starts it on stdio. ARGUMENTs are those\n"
     "of that command. Checks each value by the rules of the format. The server sends\n"
     "name and version, and may send a description; options override them.\n\n"
     "  --name NAME        the server's name; for server.json io.github.user/weather,\n"
     "                     or another namespace that you own in the registry\n"
     "  --server-version V the server's version\n"
     "  --description TEXT one line; for server.json at most 100 characters\n"
     "  --url URL          server: the public address of the server, for remotes\n"
     "  --author NAME      mcpb: the author; required\n"
     "  --command PATH     mcpb: the program in the bundle (default server/NAME)\n\n"
     "--json: the file in one line.\n"},
    {"token", 2, 3, BIT(OPTION_UNTIL), token_run,
     "Usage: iccm token [--until TIME] FILE NAME ROLE\n\n"
     "Makes a token, prints it, and adds its digest to FILE, which servers read as\n"
     "ICCM_TOKENS at their start and at SIGHUP. The token itself is stored nowhere.\n"
     "NAME stands for its holder in the log. ROLE is read (tools that change nothing,\n"
     "pages and metrics), write (other tools as well) or admin (all tools). To end a\n"
     "token, delete its line.\n\n"
     "  --until TIME  the end of the token (2026-11-21 or 2026-11-21T07:24:07Z);\n"
     "                a date includes its day. Default: never\n\n"
     "--json: {\"token\"}\n"},
};

static const char general_help[] =
    "Usage: iccm COMMAND URL ...\n\n"
    "Client for MCP servers. URL is ws://host:port/path or host:port for WebSocket,\n"
    "http://host:port/path for Streamable HTTP; wss:// and https:// are with TLS. For\n"
    "a server on standard input and output, write --stdio PROGRAM [ARGUMENT ...] at\n"
    "the end in place of URL: list, call, ping, bench, doctor and bridge start it.\n\n"
    "  iccm list [URL]                          show the server's tools\n"
    "  iccm call URL TOOL [JSON | key=value]    call a tool\n"
    "  iccm ping URL                            measure round trips\n"
    "  iccm bench URL TOOL [JSON | key=value]   measure the server's throughput\n"
    "  iccm doctor URL                          diagnose connection problems\n"
    "  iccm bridge URL                          stdio or HTTP to WebSocket\n"
    "  iccm listen [PORT]                       print what clients send\n"
    "  iccm logs [URL]                          show and follow Godot's log\n"
    "  iccm stats [URL]                         show a server's metrics\n"
    "  iccm ready [URL]                         check a server's dependencies\n"
    "  iccm trace ID [URL]                      show a request across components\n"
    "  iccm canary [URL]                        monitor Godot's log end to end\n"
    "  iccm dead list|replay|discard [N] [URL]  manage rejected log entries\n"
    "  iccm new NAME                            create a component to start from\n"
    "  iccm manifest server|mcpb URL            describe a server for registry or host\n"
    "  iccm token FILE NAME ROLE                make a token for a server\n"
    "  iccm COMMAND --help                      show help for a command\n";

static const char common_help[] =
    "\nOptions of every command:\n"
    "  --timeout SECONDS  time limit of the command; may be a fraction (default 30)\n"
    "  --json             print one JSON value on standard output, also for errors:\n"
    "                     {\"error\":{\"code\",\"message\",\"hint\",\"data\",\"exit_code\"}}\n"
    "  --token TOKEN      the server's token; prefer ICCM_AUTH_TOKEN: every user of\n"
    "                     this machine can see the options of a process\n"
    "  --insecure         with wss://, do not verify the server's certificate:\n"
    "                     an attacker can then impersonate the server\n"
    "  --verbose          print log lines of the connection on standard error\n"
    "  --help, --version\n\n"
    "Environment: ICCM_AUTH_TOKEN: the server's token; ICCM_TLS_CA: a file with the\n"
    "certificates to trust instead of the system trust store; GODOT_URL: Godot's\n"
    "address; NO_COLOR: disables colours; ICCM_ALLOWED_ORIGINS, ICCM_ALLOWED_HOSTS:\n"
    "browser pages that iccm listen admits.\n\n"
    "Exit codes: 0 success; 1 invalid usage, nothing was sent, or no lines of a\n"
    "trace; 2 communication failed (JSON-RPC error, protocol error, lost\n"
    "connection); 3 refused (401, 403); 4 cannot connect; 5 the tool failed;\n"
    "6 timeout; 130 interrupted.\n";
/* clang-format on */

/* The parsed command line, before validation. */
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

/* The member for an option with a text value; its command validates it. NULL: not such an option. */
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
  case OPTION_NAME:
    return &options->name;
  case OPTION_SERVER_VERSION:
    return &options->server_version;
  case OPTION_DESCRIPTION:
    return &options->description;
  case OPTION_AUTHOR:
    return &options->author;
  case OPTION_COMMAND:
    return &options->command;
  case OPTION_URL:
    return &options->remote_url;
  default:
    return NULL;
  }
}

/* Returns NULL, or the reason why the value is invalid. */
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
               : "cannot be set: out of memory"; /* the library reads it there */
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
  case OPTION_LISTEN:
    return parse_int(value, 0, 65535, &options->listen_port) ? NULL : "takes a port from 0 to 65535";
  case OPTION_SERVER_PID:
    return parse_int(value, 1, INT_MAX, &options->server_pid) ? NULL : "takes the id of a process";
  default:
    return NULL; /* --help, --version, and texts */
  }
}

/* Keeps the first invalid option. */
static void record_bad_option(parsed_t *parsed, const char *dashes, const char *name, const char *cause) {
  if (parsed->bad_option[0] == '\0') {
    snprintf(parsed->bad_option, sizeof parsed->bad_option, "%s%s", dashes, name);
    parsed->bad_reason = cause;
  }
}

/* Parses all options even after an invalid one: --json determines the form of the error message. */
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

/* Cuts --stdio and the words behind it off the command line: they may look like options. */
static void cut_program(parsed_t *parsed, int *argc, char **argv) {
  for (int i = 1; i < *argc; i++) {
    if (strcmp(argv[i], "--stdio") != 0)
      continue;
    parsed->given |= BIT(OPTION_STDIO);
    parsed->options.program = &argv[i + 1];
    if (i + 1 == *argc || *argv[i + 1] == '\0')
      record_bad_option(parsed, "", "--stdio", "needs a program");
    argv[i] = NULL;
    *argc = i;
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
  char shown[MCP_SHOWN_SIZE]; /* an argument in the wrong place may be a URL with a password */
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
    return report_usage_error(options, out, "--%s is not an option of iccm %s", unsupported, command->name);
  bool has_program = options->program != NULL; /* it counts as the URL */
  int count = arg_count - 1 + has_program;
  if (count < command->min_args || count > command->max_args)
    return report_usage_error(options, out, "too %s arguments; see iccm %s --help",
                              count < command->min_args ? "few" : "many", command->name);
  if (has_program && !(parsed->given & BIT(OPTION_CONNECTIONS)))
    options->connections = 1;
  args += has_program ? 0 : 1;
  options->url = has_program ? NULL : args[0];
  options->tool = command->min_args > 1 ? args[1] : NULL;
  options->args = args + command->min_args;
  options->arg_count = count - command->min_args;
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

/* Opens closed standard streams, so that no descriptor of the event loop gets their numbers. */
static void open_missing_std_streams(void) {
  int fd;
  do
    fd = open("/dev/null", O_RDONLY); /* writing to it fails, as to a closed one */
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
                                 .late_seconds = 30,
                                 .listen_port = -1}};
  open_missing_std_streams();
  signal(SIGINT, on_interrupt);
  signal(SIGPIPE, SIG_IGN);
  setlocale(LC_CTYPE, "C.UTF-8"); /* wcwidth() */
  cut_program(&parsed, &argc, argv);
  parse(&parsed, argc, argv);
  print_t out = stdout_print(), err = {.file = stderr};
  mcp_set_log_handler(on_warning, MCP_LOG_WARN, &err);
  mcp_env_check();
  /* Commands report errors themselves: the library's log lines are shown only with --verbose. */
  mcp_set_log_handler(on_log, parsed.options.verbose ? MCP_LOG_TRACE : MCP_LOG_ERROR + 1, &err);
  return report_output_error(run_command(&parsed, &out, argc - optind, argv + optind));
}
