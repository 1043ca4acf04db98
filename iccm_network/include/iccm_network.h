/* iccm_network.h: MCP (JSON-RPC 2.0 over WebSocket) between services.
 *
 * A component is its tools, their handlers and three lines in main:
 *
 *     mcp_server_t *server = mcp_server_new("echo", "1.0.0", 9000, tools);
 *     int status = mcp_server_run(server);
 *     mcp_server_free(server);
 *
 * Conventions
 * - Functions that return int answer 0 or a negative code; mcp_strerror() names every code.
 * - Text is UTF-8. A pointer that need not end in NUL travels with its length. Times are in milliseconds and
 *   say so in their names.
 * - Ownership words: a "borrowed" pointer stays the other side's; a "stolen" value belongs to the library
 *   from the call on, also when the call fails; everything else is copied.
 * - Callbacks run on the loop's thread, once each, never before the function that they were given to has
 *   returned. The user pointer is always last and called arg.
 * - One thread a loop. Functions are called on the loop's thread unless they say "any thread"; inside the
 *   handler of a MCP_TOOL_BLOCKING tool, which runs on a thread of the server's pool, those that say "pool
 *   thread" may be called.
 * - A struct that a caller fills ends in a member called reserved, which has to be zero, as any initializer
 *   leaves it. A member that a later version adds takes a part of its place, where zero means what was done
 *   before: a program runs with a later library without being compiled again. A reserved member that is not
 *   zero is refused: the program was compiled for a later version than the library's.
 * - A struct that the library fills may get members at its end: keep pointers to it, and do not copy it by
 *   its size.
 * - The library ignores SIGPIPE for the process: a write after a reset must not end it.
 */
#ifndef ICCM_NETWORK_H
#define ICCM_NETWORK_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yyjson.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
/* Lets the compiler check the arguments of a printf-like function. */
#define MCP_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
/* Marks a function that the shared library exports. */
#define MCP_EXPORT __attribute__((__visibility__("default")))
#else
#define MCP_PRINTF(text, first)
#define MCP_EXPORT
#endif

/* ---- Version ---------------------------------------------------------------------------------------
 * Of this header, by semantic versioning. Numbers for #if; MCP_VERSION is the same as text. */
#define MCP_VERSION_MAJOR 0
#define MCP_VERSION_MINOR 1
#define MCP_VERSION_PATCH 0
#define MCP_VERSION "0.1.0"

/* The version of the library that is linked at run time, as text: never NULL, never freed. Any thread. */
MCP_EXPORT const char *mcp_version(void);

struct uv_loop_s; /* uv_loop_t; whoever brings a loop of his own includes <uv.h>, which needs gnu11 */

typedef struct mcp_server mcp_server_t; /* serves tools */
typedef struct mcp_client mcp_client_t; /* calls those of one peer */
typedef struct mcp_call mcp_call_t;     /* one tools/call that waits for its answer */

/* ---- Errors -------------------------------------------------------------------------------------------
 * One int holds them all: the system's (-4095 to -1: a negative errno, which is also libuv's code), the
 * library's (-5099 to -5000), and JSON-RPC's (-32768 to -32000), which come from a peer or go to one. */
#define MCP_ERROR_MAP(X)                                                                                     \
  X(MCP_EURL, -5000, "the address is not of the form ws://host:port/path")                                   \
  X(MCP_ESTATE, -5001, "not possible in this state")                                                         \
  X(MCP_ECLOSED, -5002, "closed on this side")                                                               \
  X(MCP_ETIMEOUT, -5003, "no answer in time")                                                                \
  X(MCP_EDISCONNECTED, -5004, "the connection was lost before the answer came")                              \
  X(MCP_ERESOLVE, -5005, "the host name could not be resolved")                                              \
  X(MCP_ECONNECT, -5006, "no address of the host accepted the connection")                                   \
  X(MCP_EUPGRADE, -5007, "the peer does not speak WebSocket at this address")                                \
  X(MCP_EREFUSED, -5008, "the peer refused the connection (401 or 403)")                                     \
  X(MCP_EPROTOCOL, -5009, "the peer broke a rule of the protocol")                                           \
  X(MCP_ELIMIT, -5010, "too many calls are waiting")                                                         \
  X(MCP_ETOOBIG, -5011, "the message is larger than the limit")                                              \
  X(MCP_EENCODE, -5012, "the value cannot be written as JSON")                                               \
  X(MCP_EENV, -5013, "an environment variable holds a value that cannot be read")                            \
  X(MCP_ETOOL, -5014, "a tool's definition is wrong")                                                        \
  X(MCP_ECANCELED, -5015, "the call was cancelled on this side")                                             \
  X(MCP_ETLS, -5016, "no TLS with the peer: it speaks none, or its certificate is not accepted")             \
  X(MCP_EPATH, -5017, "not an absolute path below a directory that may be read, or one that leads out")      \
  X(MCP_ENOTREGULAR, -5018, "not a regular file")                                                            \
  X(MCP_EBUSY, -5019, "the peer is busy and closed the connection, retry later")

enum {
#define MCP_ERROR_ENUM(name, code, text) name = (code),
  MCP_ERROR_MAP(MCP_ERROR_ENUM)
#undef MCP_ERROR_ENUM
  /* JSON-RPC 2.0 section 5.1 */
  MCP_PARSE_ERROR = -32700,
  MCP_INVALID_REQUEST = -32600,
  MCP_METHOD_NOT_FOUND = -32601,
  MCP_INVALID_PARAMS = -32602,
  MCP_INTERNAL_ERROR = -32603,
  MCP_TOOL_ERROR = -32000 /* a tool may choose another from -32000 to -32099 */
};

/* The system's errors that a caller may want to tell apart; functions may return others of the system, too. A
 * code is the negative of its errno: MCP_EINVAL is -EINVAL. */
#define MCP_SYSTEM_ERROR_MAP(X)                                                                              \
  X(MCP_EINVAL, EINVAL, "invalid argument")                                                                  \
  X(MCP_ENOMEM, ENOMEM, "not enough memory")                                                                 \
  X(MCP_EAGAIN, EAGAIN, "resource temporarily unavailable")                                                  \
  X(MCP_EADDRINUSE, EADDRINUSE, "address already in use")                                                    \
  X(MCP_EACCES, EACCES, "permission denied")                                                                 \
  X(MCP_EPERM, EPERM, "operation not permitted")                                                             \
  X(MCP_ENOENT, ENOENT, "no such file or directory")                                                         \
  X(MCP_ENOTDIR, ENOTDIR, "not a directory")                                                                 \
  X(MCP_ENAMETOOLONG, ENAMETOOLONG, "name too long")                                                         \
  X(MCP_ELOOP, ELOOP, "too many symbolic links encountered")                                                 \
  X(MCP_ENXIO, ENXIO, "no such device or address")                                                           \
  X(MCP_EMFILE, EMFILE, "too many open files")                                                               \
  X(MCP_ENOSPC, ENOSPC, "no space left on device")                                                           \
  X(MCP_EIO, EIO, "i/o error")

enum {
#define MCP_ERROR_ENUM(name, number, text) name = (-(number)),
  MCP_SYSTEM_ERROR_MAP(MCP_ERROR_ENUM)
#undef MCP_ERROR_ENUM
};

/* The text of a code: never NULL, never freed. Any thread. */
MCP_EXPORT const char *mcp_strerror(int code);

/* Why the last mcp_..._new() or mcp_json_read() of this thread returned NULL, or mcp_sync_client_call()
 * failed: one line, valid until the next one. Any thread. */
MCP_EXPORT const char *mcp_last_error(void);

/* ---- Logging and memory ---------------------------------------------------------------------------- */

enum { MCP_LOG_TRACE, MCP_LOG_DEBUG, MCP_LOG_INFO, MCP_LOG_WARN, MCP_LOG_ERROR };

/* Writes one line to the log: to stderr, and where a server of this process runs to Godot
 * (mcp_server_set_log_url()), as a line of the component that is that server: the one called part, else the
 * first. part (NULL: nothing to say) names where the line comes from
 * ("worker"). Any thread. While a server runs it makes no system call (but where threads log in the very same
 * instant, a lock's): a thread of the library's own has the line on stderr within 50 ms, and in Godot as soon
 * as that takes it; up to 10,000 lines and 8 MiB wait, then the oldest are dropped, counted and reported.
 * What a crash leaves in memory is lost. The message is cut at 8 KiB. What a handler says before it returns
 * or ends its call belongs to that call, and has its trace id and span; later there is mcp_call_log(). */
MCP_EXPORT void mcp_log(int level, const char *part, const char *format, ...) MCP_PRINTF(3, 4);

/* The same with a trace id (NULL: none; Godot gets none of over 128 bytes) and data, borrowed, of which
 * secrets are taken out first: the value of each member, at any depth, whose name is or ends in password,
 * token, api_key, authorization, secret or a name added by mcp_log_redact() becomes "[REDACTED]"; case and
 * what joins words do not matter (accessToken, API-KEY). Data of over 128 KiB is replaced by its size. Any
 * thread. */
MCP_EXPORT void mcp_log_data(int level, const char *part, const char *trace_id, yyjson_mut_val *data,
                             const char *format, ...) MCP_PRINTF(5, 6);

/* One more name whose values are secrets, for the whole process: before the first server starts. MCP_EINVAL:
 * not 1 to 63 bytes with a letter or digit; MCP_ELIMIT: more than 59 were added. */
MCP_EXPORT int mcp_log_redact(const char *name);

/* Sends log lines to cb instead of stderr; NULL: back to stderr. Lines below min_level are not shown;
 * without this call it is LOG_LEVEL from the environment, or INFO. Godot may ask for others. cb is called
 * where the line is made, on any thread, must not block, and gets a borrowed text on one line, safe to be
 * shown (mcp_printable_next()): message, data, trace id. Call it before anything else. */
typedef void (*mcp_log_cb)(int level, const char *part, const char *text, void *arg);
MCP_EXPORT void mcp_set_log_handler(mcp_log_cb cb, int min_level, void *arg);

/* "INFO" -> MCP_LOG_INFO, in upper or lower case or both; -1 for anything else, also for a JSON value that is
 * no string, and NULL. And back; NULL where it is none. Any thread. */
MCP_EXPORT int mcp_log_level_parse(const char *name);
MCP_EXPORT int mcp_log_level_from_json(yyjson_val *value);
MCP_EXPORT const char *mcp_log_level_name(int level);

/* The functions of an allocator, which do what those of C of the same names do. */
typedef struct mcp_allocator {
  void *(*malloc_cb)(size_t size, void *arg);                /* NULL: no memory */
  void *(*realloc_cb)(void *memory, size_t size, void *arg); /* NULL: no memory, and the old stays */
  void (*free_cb)(void *memory, void *arg);                  /* memory is not NULL */
  void *arg;                                                 /* passed to all three */
  const void *reserved[4];                                   /* zero */
} mcp_allocator_t;

/* Takes all memory of the library from the given functions (copied), which must be callable on any thread.
 * Before anything else; MCP_ESTATE afterwards. MCP_EINVAL: a reserved member is not zero. */
MCP_EXPORT int mcp_set_allocator(const mcp_allocator_t *allocator);

/* Keeps the library from reading its variables of the environment (ICCM_..., GODOT_URL, LOG_LEVEL,
 * LOGGING_ENABLED), for a program that embeds it: servers and clients made from then on have the defaults,
 * the log shows INFO and above, and log lines are shipped only where mcp_server_set_log_url() says. Functions
 * that read a variable by its name (iccm_service.h) still do. Before anything else. */
MCP_EXPORT void mcp_ignore_environment(void);

/* ---- JSON inside of JSON -----------------------------------------------------------------------------
 * Arguments and answers come checked. Text that may hold JSON again, from a peer, a file or a database, is
 * read by this, which has the limits of a message: 64 levels, 12,500,000 values. A byte order mark in front
 * is passed over, and half a surrogate pair (\ud83d alone) becomes U+FFFD. Integers beyond 64 bits and
 * numbers beyond a double keep their digits: yyjson_is_raw() is true for them, and they are written as they
 * came. NULL: mcp_last_error() says why. Freed by yyjson_doc_free(). Any thread. */
MCP_EXPORT yyjson_doc *mcp_json_read(const char *text, size_t len);

/* ---- Tools ----------------------------------------------------------------------------------------- */

/* Serves one call. args is an object that fulfils the tool's input_schema, borrowed until the call is ended.
 * Where that asks for an integer yyjson_is_int() is true, however the number was written (3.0, 1e1), unless
 * it has more than 64 bits. A property that is not required may hold null, which counts as not given. The
 * handler ends the call with exactly one of mcp_call_reply, _reply_text, _reply_content, _tool_error and
 * _fail, now or later, also when the peer has gone meanwhile. */
typedef void (*mcp_tool_cb)(mcp_call_t *call, yyjson_val *args, void *arg);

enum {
  MCP_TOOL_BLOCKING = 1,    /* the handler may block: it runs on a thread of the server's pool and has to end
                               the call before it returns (else the call fails with MCP_INTERNAL_ERROR) */
  MCP_TOOL_LOG_TRAFFIC = 2, /* calls are log traffic themselves and never become log lines */
  MCP_TOOL_UNLISTED = 4,    /* served, but not shown by tools/list: an alias */
  MCP_TOOL_WAITS = 16,      /* with MCP_TOOL_BLOCKING: the handler may wait for long: for others of its kind,
                               as for the one writer of a database, or for another service. Calls of all such tools
                               have six of the pool's eight      threads at most, so that others are served
                               meanwhile;      further ones wait for      their turn */
  MCP_TOOL_STRICT = 8       /* refuses arguments that it does not know with MCP_INVALID_PARAMS, and names the
                               nearest known one: for tools that read, change or delete by their arguments.
                               Known are the properties of its schema and those of unlisted_properties; within
                               a property whose schema has properties of its own, these */
};

/* JSON as a C string, written without escapes: MCP_JSON({"type": "object"}) is "{\"type\": \"object\"}". A
 * line break outside of strings becomes a blank; comments are left out. JSON that is wrong is refused where
 * it is used. Not for the parameter of another macro, in which the compiler may have replaced true already;
 * and where the compiler keeps to C99 strictly, not for more than 4,095 bytes or for trigraphs such as ??= in
 * strings. */
#define MCP_JSON(...) #__VA_ARGS__

/* One tool of a server. */
typedef struct mcp_tool {
  const char *name;         /* 1 to 128 of A-Z a-z 0-9 _ - . */
  const char *description;  /* for people and models; NULL: none */
  const char *input_schema; /* JSON Schema, as text, with "type":"object"; NULL: any object */
  mcp_tool_cb handler;      /* serves its calls */
  void *arg;                /* passed to the handler */
  unsigned flags;           /* MCP_TOOL_... */
  /* All of these may be left out. Text is UTF-8. */
  const char *title;         /* for people */
  const char *output_schema; /* JSON Schema of an object, which every result has to fulfil: one that does not
                                becomes MCP_INTERNAL_ERROR for the caller and a line in the log. As with
                                arguments, null counts as not given. tools/list shows it from 2025-06-18 on */
  const char *annotations;   /* JSON: readOnlyHint, destructiveHint, idempotentHint, openWorldHint, title */
  const char *icons;         /* JSON array of objects: src, mimeType, sizes, theme */
  const char *unlisted_properties; /* JSON object: more properties of input_schema, which are checked like its
                                      own, but not shown by tools/list. One that input_schema has, too, is
                                      shown as there, and checked as here */
  const void *reserved[6];         /* zero */
} mcp_tool_t;

/* Ends a table of tools. */
#ifdef __cplusplus
#define MCP_TOOL_END                                                                                         \
  {}
#else
#define MCP_TOOL_END                                                                                         \
  { 0 }
#endif

/* ---- Server ---------------------------------------------------------------------------------------- */

/* Makes a server of the tools up to MCP_TOOL_END. Its name has 1 to 256 bytes; everything is copied,
 * handlers' args stay borrowed. It listens on all IPv4 and IPv6 addresses of the machine; port 0 picks a free
 * one. Reads ICCM_... from the environment (docs/api.md), unless mcp_ignore_environment() was called. NULL:
 * bad name, port, tool or environment, or no memory; mcp_last_error() and the log say which. */
MCP_EXPORT mcp_server_t *mcp_server_new(const char *name, const char *version, int port,
                                        const mcp_tool_t *tools);

/* Settings, between new and start; each wins over its environment variable. Errors: MCP_ESTATE after start,
 * MCP_EINVAL for a value out of range, MCP_ENOMEM. The largest message that is taken: 16 MiB; 1 KiB to
 * 200 MiB. ICCM_MAX_MESSAGE_BYTES. */
MCP_EXPORT int mcp_server_set_max_message_bytes(mcp_server_t *server, size_t bytes);
/* For all that peers send and what is made of it: messages, parsed arguments, answers that wait; 1 GiB; 1 MiB
 * to 1 TiB, at least five times the message limit. Beyond a quarter of it connections that hold more than
 * their share are not read from; where it is used up those that hold most are closed with 1013.
 * ICCM_MAX_MEMORY_BYTES. */
MCP_EXPORT int mcp_server_set_max_memory_bytes(mcp_server_t *server, size_t bytes);
/* 1,024; 1 to 1,000,000. ICCM_MAX_CONNECTIONS. */
MCP_EXPORT int mcp_server_set_max_connections(mcp_server_t *server, int connections);
/* Whether peers outside private networks are admitted: false. ICCM_ALLOW_PUBLIC. */
MCP_EXPORT int mcp_server_set_allow_public(mcp_server_t *server, bool allow);
/* Shares its port with other servers of the same user that do so, too: the kernel spreads new connections
 * over them (SO_REUSEPORT). Port 0 still picks a free one, which is shared with nobody. Without this call
 * ICCM_REUSEPORT says it; false. */
MCP_EXPORT int mcp_server_set_reuseport(mcp_server_t *server, bool reuse);
/* Pages of browsers that may ask without the token: the server's own may, and those whose Origin is in this
 * list, "scheme://host:port" each, parted by commas; "*" admits any. Without this call ICCM_ALLOWED_ORIGINS
 * says it; NULL: none. */
MCP_EXPORT int mcp_server_set_allowed_origins(mcp_server_t *server, const char *origins);
/* Names in Host that pages, and GET for what it shows, may use without the token, parted by commas; "*"
 * admits any. Addresses, localhost, names without a dot and names that end in .localhost, .local, .internal,
 * .svc or .cluster.local need not be listed. Any other could be a page's own name, bound anew to this
 * machine: 403. Without this call ICCM_ALLOWED_HOSTS says it; NULL: none. */
MCP_EXPORT int mcp_server_set_allowed_hosts(mcp_server_t *server, const char *hosts);
/* The token that whoever connects has to send, as Authorization: Bearer or as a subprotocol mcp.auth.<token>
 * that is offered, which browsers can; else 401. NULL: none is asked for. With one, peers outside private
 * networks are admitted, too, and of the pages /healthz and the status of /readyz alone are for everybody.
 * Without this call ICCM_AUTH_TOKEN says it. 1 to 512 of A-Z a-z 0-9 - . _ ~ + / and = at its end, else
 * MCP_EINVAL; it is not kept, only its digest. */
MCP_EXPORT int mcp_server_set_auth_token(mcp_server_t *server, const char *token);
/* Serves in TLS 1.2 and 1.3 (wss://, https:// for the pages) and in clear no longer. Files in PEM: the
 * certificate, behind it those between it and its authority; and its private key, without a password. SIGHUP
 * makes new connections get what the files hold by then; where that cannot be used the log says why, and all
 * stays as it was. Both NULL: in clear. Without this call ICCM_TLS_CERT and ICCM_TLS_KEY say it. MCP_EINVAL:
 * mcp_last_error() says what is wrong with which file. */
MCP_EXPORT int mcp_server_set_tls(mcp_server_t *server, const char *cert_file, const char *key_file);
/* How many connections one address, of IPv6 one network of 64 bits, may open in a second: those beyond get
 * 503. And how many messages are taken from one connection in a second: it is not read from until the second
 * is over. 0: any number; to 1,000,000. Without these calls ICCM_MAX_CONNECTS_PER_SECOND and
 * ICCM_MAX_MESSAGES_PER_SECOND say it; 0. Where a limit is wanted, 10,000 is one to begin with. */
MCP_EXPORT int mcp_server_set_max_connects_per_second(mcp_server_t *server, int connects);
MCP_EXPORT int mcp_server_set_max_messages_per_second(mcp_server_t *server, int messages);
/* The deadline of a call, which is answered -32603 when it has passed: 300,000. */
MCP_EXPORT int mcp_server_set_call_timeout_ms(mcp_server_t *server, uint64_t timeout_ms);
/* How long a stop waits for calls in flight: 3,000. */
MCP_EXPORT int mcp_server_set_shutdown_timeout_ms(mcp_server_t *server, uint64_t timeout_ms);

/* Where the server's log lines go besides stderr: to logger_log of a Godot, with the server's name as
 * component; an address or several, as of mcp_client_new(). NULL: nowhere. Without this call it is as of
 * mcp_client_new_godot(), unless LOGGING_ENABLED is false. Connections, requests, calls and their errors
 * become lines by themselves, but for calls of tools with MCP_TOOL_LOG_TRAFFIC, and for what their handlers
 * log before they return. A Godot that is away or slow costs nobody anything; its lines wait, see mcp_log().
 * A line that is sent again, to whichever address, has the id and created_at that it had. MCP_ESTATE after
 * start, MCP_EURL, MCP_ENOMEM. */
MCP_EXPORT int mcp_server_set_log_url(mcp_server_t *server, const char *url);

/* Clients that declare the experimental capability of this name in initialize (an object) are told, by
 * notifications of the method "notifications/<name>", what cb makes of the params of their initialize
 * (borrowed): right behind the answer, and again after each mcp_server_notify(). cb's document goes
 * to the library; NULL: nothing is told now. It runs when output is written. One a server, between new and
 * start: else MCP_ESTATE; MCP_EINVAL: not 1 to 128 bytes of UTF-8; MCP_ENOMEM. An initialize of over 4 KiB is
 * not kept, and its sender told nothing. */
typedef yyjson_mut_doc *(*mcp_capability_cb)(mcp_server_t *server, yyjson_val *initialize, void *arg);
MCP_EXPORT int mcp_server_set_experimental_capability(mcp_server_t *server, const char *capability,
                                                      mcp_capability_cb cb, void *arg);
MCP_EXPORT void mcp_server_notify(mcp_server_t *server);

/* Says at any time whether something the server needs is there: reason NULL, it is; else why it is not, in
 * words for an operator, which anybody who reaches the port can read unless there is a token. While anything
 * is missing GET /readyz answers 503 and lists need and reason. That it goes or comes back is logged. Both
 * are copied. Any thread, until the server is freed. 0 or MCP_ENOMEM: then nothing has changed. */
MCP_EXPORT int mcp_server_set_dependency(mcp_server_t *server, const char *need, const char *reason);

/* A number that GET /metrics shows, in the text format of Prometheus, beside the library's own (docs/api.md):
 *
 *     heat = mcp_server_metric(server, MCP_GAUGE, "oven_heat_celsius", "How hot it is.", "shelf");
 *     mcp_metric_set(heat, "upper", 180);
 */
typedef struct mcp_metric mcp_metric_t;

enum {
  MCP_COUNTER,  /* only rises */
  MCP_GAUGE,    /* rises and falls */
  MCP_HISTOGRAM /* how often, and how long altogether; in seconds, by buckets from 0.0001 to 300 */
};

/* Makes one, or finds the one that is there of the same type, name and label; help is of the first. name: 1
 * to 128 of A-Z a-z 0-9 _ : without a digit in front, not iccm_...; a counter's ends with _total by custom.
 * label: how the one label is called (no : there, not le, not __...); NULL: none. Everything is copied; the
 * metric lives as long as its server, and as calls that outlive it. At any time, any thread. NULL: a name,
 * text or type that is wrong, a name in use for something else, 256 metrics there already, or no memory;
 * mcp_last_error() and the log say which. */
MCP_EXPORT mcp_metric_t *mcp_server_metric(mcp_server_t *server, int type, const char *name, const char *help,
                                           const char *label);

/* The same for a counter whose label's values, up to a NULL, are known from the start: each is shown as 0
 * from then on, so that a scraper sees the first one counted as a rise. label and values NULL: the counter
 * has none. */
MCP_EXPORT mcp_metric_t *mcp_server_counter(mcp_server_t *server, const char *name, const char *help,
                                            const char *label, const char *const *values);

/* Counts. label_value, copied, says under which value of the metric's label; without effect where it has
 * none. Beyond 100 values, and for one that is NULL, longer than 128 bytes or not UTF-8, "other" is counted.
 * value is added to a counter or gauge, observed by a histogram; one that is not finite, or negative but for
 * a gauge, is not taken. metric NULL: nothing happens. Any thread, and no lock but for a value's first time.
 */
MCP_EXPORT void mcp_metric_add(mcp_metric_t *metric, const char *label_value, double value);
/* The same, but sets the value. Gauges alone. */
MCP_EXPORT void mcp_metric_set(mcp_metric_t *metric, const char *label_value, double value);

/* One tool more, or one less, at any time but while the server stops. Connections of 2025-03-26 or newer are
 * told (notifications/tools/list_changed); calls in flight of a tool that goes end normally, with its arg.
 * add: errors of a tool as in new, MCP_ETOOL (the log says what is wrong), MCP_EINVAL (no name). remove:
 * MCP_ENOENT. Both: MCP_ENOMEM, MCP_ESTATE; then nothing has changed. */
MCP_EXPORT int mcp_server_add_tool(mcp_server_t *server, const mcp_tool_t *tool);
MCP_EXPORT int mcp_server_remove_tool(mcp_server_t *server, const char *name);

/* Runs the server on a loop of its own until SIGTERM or SIGINT, then stops it gracefully. 0; or why it could
 * not start, which the log says, too (the system's code: MCP_EADDRINUSE, MCP_EACCES, …); or MCP_ETIMEOUT: it
 * has stopped, but a blocking handler is still running, so that what it works with must not be freed: end the
 * process. */
MCP_EXPORT int mcp_server_run(mcp_server_t *server);

/* Or on a loop of yours: binds and listens at once, serves while the loop runs. Errors as above; after one
 * nothing listens, and the loop has to run once more before it is closed. The loop must outlive the server.
 */
MCP_EXPORT int mcp_server_start(mcp_server_t *server, struct uv_loop_s *loop);

/* The port in use, also after port 0; before start the one given to new. */
MCP_EXPORT int mcp_server_port(const mcp_server_t *server);

/* Stops: accepts no more connections, lets calls in flight finish within the shutdown timeout, closes
 * connections with 1012 (service restart), then calls cb once; cb may be NULL and may free the server. Calls
 * that arrive meanwhile are not begun and get the error "the server is stopping, retry later" (-32000, with
 * data.retry true); those in flight when the timeout is over get "the server is stopping" (-32603). Log lines
 * that are left are then shipped, for as long again, while Godot takes them.
 * Nonzero: cb never fires (MCP_ESTATE: not started, or stopping already). Calls that handlers have not ended
 * by then must still be ended; their memory lives until they are. */
typedef void (*mcp_server_cb)(mcp_server_t *server, void *arg);
MCP_EXPORT int mcp_server_stop(mcp_server_t *server, mcp_server_cb cb, void *arg);

/* Calls cb every interval_ms from the start (the first time interval_ms after it) until the server stops, on
 * the thread of the server's loop: a cb that blocks keeps the server from serving. Several may be added, 64
 * at most, each for all starts that follow. MCP_ESTATE: the server is started; MCP_ELIMIT: 64 were added;
 * MCP_EINVAL: interval_ms is 0; MCP_ENOMEM.
 */
MCP_EXPORT int mcp_server_add_timer(mcp_server_t *server, uint64_t interval_ms, mcp_server_cb cb, void *arg);

/* Frees a server that was never started or has been stopped (in or after its cb). NULL is fine. */
MCP_EXPORT void mcp_server_free(mcp_server_t *server);

/* ---- Arguments of a call -----------------------------------------------------------------------------
 * By their names, in the args of a handler, which fulfil the tool's input_schema. fallback is returned where
 * the argument is not given or is null, and where it is not of the type, as an input_schema that does not ask
 * for the type lets through. Any thread, until the call is ended. */

/* A string, borrowed, in UTF-8 and with a NUL behind it. It may also hold NUL: *len is its length in bytes,
 * or that of fallback, which is 0 for NULL. len may be NULL. */
MCP_EXPORT const char *mcp_arg_text(yyjson_val *args, const char *name, const char *fallback, size_t *len);

/* An integer, however it was written (3.0, 1e1). One of more than 64 bits is INT64_MAX or INT64_MIN. */
MCP_EXPORT int64_t mcp_arg_int(yyjson_val *args, const char *name, int64_t fallback);

/* A number. One that is too large for a double is DBL_MAX or -DBL_MAX. */
MCP_EXPORT double mcp_arg_number(yyjson_val *args, const char *name, double fallback);

/* true or false. */
MCP_EXPORT bool mcp_arg_bool(yyjson_val *args, const char *name, bool fallback);

/* ---- Calls -----------------------------------------------------------------------------------------
 * All of these on the loop's thread; for a MCP_TOOL_BLOCKING tool instead on the pool thread of its handler.
 */

/* The request's trace id, or NULL (params._meta.trace_id, _meta.traceparent, X-Trace-ID). Borrowed. */
MCP_EXPORT const char *mcp_call_trace_id(const mcp_call_t *call);

/* One line of the log about this call: with its trace id, its span and its parent's; data: a value of
 * mcp_call_doc(), or NULL. Otherwise as mcp_log_data(); of a tool with MCP_TOOL_LOG_TRAFFIC it goes to stderr
 * alone. */
MCP_EXPORT void mcp_call_log(mcp_call_t *call, int level, yyjson_mut_val *data, const char *format, ...)
    MCP_PRINTF(4, 5);

/* The call's own document: build the answer from it. Its memory is the call's and ends with it. */
MCP_EXPORT yyjson_mut_doc *mcp_call_doc(mcp_call_t *call);

/* The names of the call's arguments that its tool does not know (see MCP_TOOL_STRICT): an array of
 * mcp_call_doc(), or NULL where it knows all. For tools that keep what they know, and name the rest in their
 * answer:
 *
 *     yyjson_mut_obj_add_val(doc, answer, "ignored", mcp_call_ignored(call));
 *
 * which adds nothing where it is NULL. An argument that is null counts as not given. */
MCP_EXPORT yyjson_mut_val *mcp_call_ignored(mcp_call_t *call);

/* Tells how far the call is, where its caller asked for that (_meta.progressToken) and has not gone: progress
 * rises with each call, total 0 or less is unknown, message may be NULL. Costs little: the newest is sent
 * every 50 ms, and what is left right before the answer. 0; MCP_EINVAL: not rising, not a number, not UTF-8;
 * MCP_ENOMEM; MCP_ESTATE: nobody waits any more. */
MCP_EXPORT int mcp_call_progress(mcp_call_t *call, double progress, double total, const char *message);

/* Whether nobody waits for the answer any more: the peer has left or has cancelled, or the deadline is over,
 * that of a stopping server (the shutdown timeout) too. The call has to be ended all the same. */
MCP_EXPORT bool mcp_call_cancelled(const mcp_call_t *call);

/* Calls cb when that happens, on the loop's thread, at most once, never after the call was ended. At once
 * (that is: in the loop's next turn) when it has happened already. Not for MCP_TOOL_BLOCKING tools: these ask
 * mcp_call_cancelled(). */
MCP_EXPORT void mcp_call_on_cancel(mcp_call_t *call, void (*cb)(mcp_call_t *call, void *arg), void *arg);

/* The five ways to end a call. After each of them call, args and document are dead, whatever it returns: 0,
 * MCP_EENCODE where the result could not be written as JSON (invalid UTF-8, not a number, out of memory) or
 * is not what it should be (output_schema, content; the log names the place): the caller gets -32603;
 * MCP_ESTATE where nobody waited any more. reply: result is a value of mcp_call_doc(). reply_text: a JSON
 * text, copied as it stands; that it is valid is the handler's word, which builds without NDEBUG check. A
 * call that is ended twice, NULL for an answer, and a text that is no JSON are named in the log with their
 * tool. reply_content: an array of MCP's content blocks (text, image, audio, resource_link, resource), and
 * an object for structuredContent, required where there is an output_schema, or NULL; values of
 * mcp_call_doc(). Direct calls are answered structured, or where that is NULL the array; with is_error
 * they, and those of 2024-11-05, get the first block's text as a JSON-RPC error -32000. tool_error: the
 * tool ran and could not do it; words for the caller, no paths, no SQL. fail: a JSON-RPC error of its own
 * code, with data (a value of mcp_call_doc(), or NULL). */
MCP_EXPORT int mcp_call_reply(mcp_call_t *call, yyjson_mut_val *result);
MCP_EXPORT int mcp_call_reply_text(mcp_call_t *call, const char *json, size_t len);
MCP_EXPORT int mcp_call_reply_content(mcp_call_t *call, yyjson_mut_val *content, yyjson_mut_val *structured,
                                      bool is_error);
MCP_EXPORT int mcp_call_tool_error(mcp_call_t *call, const char *format, ...) MCP_PRINTF(2, 3);
MCP_EXPORT int mcp_call_fail(mcp_call_t *call, int code, yyjson_mut_val *data, const char *format, ...)
    MCP_PRINTF(4, 5);

/* ---- Client ---------------------------------------------------------------------------------------- */

/* What came of a call. Everything is borrowed until the callback returns. Later versions may add members at
 * its end. */
typedef struct mcp_result {
  int status;        /* 0: answered; else a code: the library's, libuv's, or the peer's JSON-RPC error */
  bool is_error;     /* answered by a result that says isError */
  yyjson_val *value; /* structuredContent, else the first text parsed as JSON, else the whole result; with a
                        JSON-RPC error its data; may be NULL */
  const char *text;  /* the first text of the result's content, as it came; NULL where there is none */
  size_t text_len;
  const char *message; /* status or is_error: one line for people, never NULL then; else NULL */
} mcp_result_t;

/* The client is closed; and what came of a call. */
typedef void (*mcp_client_cb)(mcp_client_t *client, void *arg);
typedef void (*mcp_result_cb)(mcp_client_t *client, const mcp_result_t *result, void *arg);

/* A client of "ws://host:port/path" ("host:port" and "host" will do; port 80 unless said), or of "wss://...",
 * which is TLS 1.2 or 1.3 (port 443): the peer has to show a certificate for that host from whoever this
 * machine trusts. It connects with the first call and by itself ever after: all addresses of the name are
 * tried, lost connections come back with exponential backoff and jitter while there is something to send.
 * Up to 8 addresses may stand there, parted by commas: each attempt to connect tries them in turn, with the
 * same share of its time for each. (In a path or query a comma parts only where ws:// or wss:// follows.)
 * Where ICCM_AUTH_TOKEN is set it sends that token to whoever it connects to. NULL: MCP_EURL, MCP_EENV or no
 * memory, see mcp_last_error(). */
MCP_EXPORT mcp_client_t *mcp_client_new(struct uv_loop_s *loop, const char *url);

/* The same to Godot, where GODOT_URL says that it is. Where that is not set: at ws://godot-mcp:9060, or while
 * that name cannot be resolved, which is tried at each attempt to connect, at ws://localhost:9060; the token
 * goes to neither but on this machine's loopback, and by the name godot-mcp never. */
MCP_EXPORT mcp_client_t *mcp_client_new_godot(struct uv_loop_s *loop);

/* How far a client has come with the connection that it has or is making, or else came with its last attempt.
 * In the loop's thread. */
typedef enum mcp_stage {
  MCP_STAGE_NONE,       /* nothing was tried yet */
  MCP_STAGE_RESOLVING,  /* the host's name is looked up */
  MCP_STAGE_CONNECTING, /* no address has accepted the connection */
  MCP_STAGE_TLS,        /* one has; the TLS handshake is not over */
  MCP_STAGE_UPGRADE,    /* the upgrade to WebSocket is not answered */
  MCP_STAGE_INITIALIZE, /* WebSocket is spoken; MCP's initialize is not answered */
  MCP_STAGE_OPEN
} mcp_stage_t;

/* How far the client has come. On the loop's thread. */
MCP_EXPORT mcp_stage_t mcp_client_stage(const mcp_client_t *client);

/* Settings, before the first call. The largest message that is taken: 16 MiB; 1 KiB to 200 MiB. */
MCP_EXPORT int mcp_client_set_max_message_bytes(mcp_client_t *client, size_t bytes);
/* The token that the peer wants, copied; NULL: none is sent. Without this call it is ICCM_AUTH_TOKEN.
 * MCP_ESTATE after the first call; MCP_EINVAL: not as mcp_server_set_auth_token() wants it; MCP_ENOMEM. */
MCP_EXPORT int mcp_client_set_auth_token(mcp_client_t *client, const char *token);
/* For wss:// addresses. Whom to trust instead of whom the machine does: a file of certificates in PEM; NULL:
 * the machine's. Without this call it is ICCM_TLS_CA. And whether the peer's certificate is looked at (true):
 * without that anybody on the way can pretend to be the peer. MCP_ESTATE after the first call; MCP_EINVAL:
 * mcp_last_error() says what is wrong with the file. */
MCP_EXPORT int mcp_client_set_tls_ca(mcp_client_t *client, const char *ca_file);
MCP_EXPORT int mcp_client_set_tls_verify(mcp_client_t *client, bool verify);
/* A failed attempt to connect fails the calls that wait for it, and while the peer is known to be away calls
 * fail at once, instead of waiting for a connection up to their deadline. */
MCP_EXPORT int mcp_client_set_fail_fast(mcp_client_t *client, bool fail_fast);

/* Connects now and keeps connected, for ever, until close: for components whose peer should be there. */
MCP_EXPORT int mcp_client_connect(mcp_client_t *client);

/* Tells when the connection is there (status 0, reason NULL) and when it is not (status: why; reason: one
 * line, borrowed): at each change, and after each failed attempt. */
typedef void (*mcp_client_state_cb)(mcp_client_t *client, int status, const char *reason, void *arg);
MCP_EXPORT void mcp_client_on_state(mcp_client_t *client, mcp_client_state_cb cb, void *arg);

/* Tells each notification that the peer sends; params: NULL where there are none. Both are borrowed until cb
 * returns. NULL: they are dropped, as before. */
typedef void (*mcp_notification_cb)(mcp_client_t *client, const char *method, yyjson_val *params, void *arg);
MCP_EXPORT void mcp_client_on_notification(mcp_client_t *client, mcp_notification_cb cb, void *arg);

/* The trace id, copied, of the calls that are made from now on by mcp_client_call(): for programs with which
 * a trace begins. NULL: none. MCP_EINVAL: not 1 to 128 bytes of UTF-8. */
MCP_EXPORT int mcp_client_set_trace_id(mcp_client_t *client, const char *trace_id);

/* How far a call is, as its server reports it. Everything is borrowed until the callback returns. */
typedef struct mcp_progress {
  double progress;     /* rises from one report of a call to the next */
  double total;        /* what progress rises to; 0 where that is unknown */
  const char *message; /* cut at 1,024 bytes; NULL where there is none */
} mcp_progress_t;
typedef void (*mcp_progress_cb)(mcp_client_t *client, const mcp_progress_t *progress, void *arg);

/* How a call is made. NULL instead of options, and each member that is zero, is the default. Set members by
 * name ({.timeout_ms = 5000}): later versions use the reserved members, which have to be zero (MCP_EINVAL
 * otherwise). The options, and all they point to but parent, are read before the call is made and may go
 * then. */
typedef struct mcp_call_options {
  /* Covers connecting, handshake and answer. 0 is 30,000. */
  uint64_t timeout_ms;
  /* 1 to 128 bytes of UTF-8. NULL is the trace id of parent; without parent it is that of
   * mcp_client_set_trace_id(). Not together with parent. MCP_EINVAL otherwise. */
  const char *trace_id;
  /* The call that is being served and needs this one. The peer receives parent's trace id and span. When the
   * caller of parent leaves or cancels, or the deadline of parent passes, this call is cancelled too, as by
   * mcp_client_cancel(). Once the handler has ended parent, the two are independent: this call goes on, so
   * its arg and progress_arg must not depend on parent then. */
  mcp_call_t *parent;
  /* Asks the peer for reports of its progress (_meta.progressToken) and receives them: after the function
   * that made the call has returned, and before the call ends. Reports whose progress does not rise are
   * dropped. Without this the peer is not asked. */
  mcp_progress_cb progress_cb;
  void *progress_arg;
  /* Where the id for mcp_client_cancel() is put. Ids begin at 1 and are not used again. */
  uint64_t *id;
  const void *reserved[4]; /* zero */
} mcp_call_options_t;

/* Calls a tool. args: a document whose root is the object of arguments, stolen; NULL: none. options: may be
 * NULL. A parent is served by the loop of this client, and its tool is not MCP_TOOL_BLOCKING, for which there
 * is mcp_sync_client_call().
 *
 * Nonzero: cb never fires. MCP_ELIMIT: 1,024 calls or 16 MiB wait for a connection; MCP_ETOOBIG; MCP_ECLOSED;
 * MCP_EENCODE; MCP_EINVAL: the options; MCP_ENOMEM; MCP_ECANCELED: nobody waits for the parent any more;
 * MCP_ESTATE: the tool of the parent is MCP_TOOL_BLOCKING. A parent still has to be ended.
 *
 * 0: cb fires once, later, with the answer or with MCP_ETIMEOUT (where it was sent, the peer is told by
 * notifications/cancelled, and may have served it all the same), MCP_EDISCONNECTED (sent, and the connection
 * went: the call may have been served), MCP_EBUSY (the same, and the peer closed with 1013: it has no memory
 * for more at the moment), MCP_ECLOSED, MCP_ECANCELED, MCP_ERESOLVE, MCP_ECONNECT, MCP_ETLS, MCP_EUPGRADE,
 * MCP_EREFUSED, MCP_EPROTOCOL, MCP_ETOOBIG, MCP_ENOMEM. */
MCP_EXPORT int mcp_client_call(mcp_client_t *client, const char *tool, yyjson_mut_doc *args,
                               const mcp_call_options_t *options, mcp_result_cb cb, void *arg);

/* The same for any method ("tools/list", "ping"); value is the whole result. params is stolen, may be NULL.
 * A trace id is sent only where options have one or a parent. Options that are sent to the peer replace
 * those of params._meta, and params has to be an object then (MCP_EINVAL). */
MCP_EXPORT int mcp_client_request(mcp_client_t *client, const char *method, yyjson_mut_doc *params,
                                  const mcp_call_options_t *options, mcp_result_cb cb, void *arg);

/* tools/list, page by page, as one array: value; else as mcp_client_request(). The options are those of all
 * pages together, without progress, and the id is that of the first page. Also MCP_EPROTOCOL: what came is no
 * list, or one that does not end (1,000 pages, or one that names itself as the next); MCP_ETOOBIG: it takes
 * more than 64 MiB of memory. */
MCP_EXPORT int mcp_client_list_tools(mcp_client_t *client, const mcp_call_options_t *options,
                                     mcp_result_cb cb, void *arg);

/* Gives up a call or request, by the id that its options asked for: its cb fires later, once, with
 * MCP_ECANCELED; the peer is told (notifications/cancelled) where it has been sent, and may have served it
 * all the same. Nonzero: nothing changes. MCP_ESTATE: it has ended, or its end is due already; MCP_ECLOSED.
 */
MCP_EXPORT int mcp_client_cancel(mcp_client_t *client, uint64_t id);

/* Ends the client: calls still waiting fail with MCP_ECLOSED, the connection is closed, then cb fires once
 * (may be NULL, may free the client). Nonzero: cb never fires (MCP_ESTATE, closing already; MCP_ENOMEM, it
 * was never used: then it can be freed). */
MCP_EXPORT int mcp_client_close(mcp_client_t *client, mcp_client_cb cb, void *arg);

/* Frees a client that was closed (in or after close's cb), or never used. NULL is fine. */
MCP_EXPORT void mcp_client_free(mcp_client_t *client);

/* ---- Blocking client ------------------------------------------------------------------------------- */

/* A client for code that waits for the answer: programs without a loop, and handlers of MCP_TOOL_BLOCKING
 * tools. url: as for mcp_client_new(). The call opens the connection, which stays open for the next one.
 * Returns NULL without memory or where url is no address; see mcp_last_error(). Any thread. */
typedef struct mcp_sync_client mcp_sync_client_t;
MCP_EXPORT mcp_sync_client_t *mcp_sync_client_new(const char *url);

/* Calls a tool and waits for the answer. args is stolen, may be NULL; options as for mcp_client_call(),
 * without id.
 *
 * Returns 0, and *answer is what mcp_result_t calls value. Otherwise returns a code as a call's,
 * MCP_TOOL_ERROR where the result says isError, MCP_EENV or MCP_EINVAL (the options, ICCM_TLS_CA), and
 * mcp_last_error() has the message; *answer then holds what came with the error, or NULL. Free *answer by
 * yyjson_doc_free(). A peer that cannot be reached fails the call at once. A connection that ended since the
 * last call is opened again; a call that was sent before its end was noticed fails with MCP_EDISCONNECTED,
 * and the peer may have served it. progress_cb runs on the thread that waits, with NULL as its client;
 * reports that come faster than it returns are replaced by the newest.
 *
 * Without a parent: any thread but one that runs a loop, which would stand still; one call of a client at a
 * time. The connection is used only while a call waits, so a peer that sends pings may close it in between.
 * Messages may have 16 MiB. A look-up of a name that has begun is waited for beyond timeout_ms: the system's
 * resolver has its own limits.
 *
 * With a parent, whose tool is MCP_TOOL_BLOCKING (MCP_ESTATE otherwise): pool thread, any number of calls at
 * a time; the loop that serves parent has to run meanwhile. MCP_ECANCELED also when the server of parent
 * stops and the shutdown timeout is over. The server's loop holds the connection, one for each url, which all
 * handlers share, answers pings and closes it when the server stops. The server's stop waits for the look-up
 * of a name that has begun. A server holds connections to the first 16 urls; calls to others connect each
 * time, and then end within 50 ms of a cancellation. Messages may be as large as those of parent's server, or
 * 16 MiB where that takes less. */
MCP_EXPORT int mcp_sync_client_call(mcp_sync_client_t *client, const char *tool, yyjson_mut_doc *args,
                                    const mcp_call_options_t *options, yyjson_doc **answer);

/* Closes the connection, which takes up to 1 s, and frees the client. NULL is fine. While no call waits: a
 * handler that was still at work when its server had stopped may begin one, so where there are such handlers
 * the client has to stay until the process ends. */
MCP_EXPORT void mcp_sync_client_free(mcp_sync_client_t *client);

/* ---- Tests -------------------------------------------------------------------------------------------- */

/* Calls a tool of a server of this process and waits for the answer, for tests of tools: no port is opened.
 * The server is not started, and can be started or called again afterwards. Arguments are checked, and the
 * handler runs, as in a server that serves; a blocking one runs on a thread. Timers do not run, and no line
 * is shipped to Godot. args is stolen, may be NULL. 0: *answer is what mcp_result_t calls value, freed by
 * yyjson_doc_free(). Else a code as a call's, MCP_TOOL_ERROR where the result says isError, MCP_ESTATE (the
 * server is started), and mcp_last_error() has the message; *answer then holds what came with the error, or
 * NULL. Any thread but one that runs a loop. */
MCP_EXPORT int mcp_server_test_call(mcp_server_t *server, const char *tool, yyjson_mut_doc *args,
                                    yyjson_doc **answer);

#ifdef __cplusplus
}
#endif
#endif
