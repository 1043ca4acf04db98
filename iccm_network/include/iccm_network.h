/* iccm_network.h: MCP servers and clients (JSON-RPC 2.0 over WebSocket).
 *
 * A component consists of its tools, their handlers and three lines in main:
 *
 *     mcp_server_t *server = mcp_server_new("echo", "1.0.0", 9000, tools);
 *     int status = server != NULL ? mcp_server_run(server) : 1;
 *     mcp_server_free(server);
 *
 * Terms
 * - Peer: the program at the other end of a connection. Caller: the peer that made a call.
 * - Started: a server is started from mcp_server_start() or mcp_server_run() until its stop has ended. Then
 *   its settings can be changed, and it can be started again.
 * - Direct call: a JSON-RPC request whose method is the name of a tool and whose params are the arguments.
 *   Servers accept it from callers that do not use tools/call.
 * - Trace id: a text that identifies one request across all components. Span: an id of one call within a
 *   trace.
 * - Godot: the MCP server that collects the log lines of all components by its tool logger_log.
 *
 * Conventions
 * - Return values: a function that returns int returns 0 on success and a negative code on failure, unless
 *   its comment describes another value. mcp_strerror() has a text for each code.
 * - Text is UTF-8 and ends with NUL. A text with a length parameter need not end with NUL.
 * - Times: names that end in _ms are milliseconds, names that end in _us are microseconds.
 * - Pointers: a pointer must not be NULL unless its comment permits that.
 * - Ownership: "borrowed" memory is not copied and stays with its owner, who must not change or free it while
 *   it is borrowed. "Stolen" memory passes to the library when the function is called, also if the function
 *   fails. Everything else is copied.
 * - Callbacks run on the loop thread, must not block, and never run before the function that registered them
 *   has returned. A callback that reports a result runs exactly once. Its last parameter, arg, is the pointer
 *   that was registered with it; it is borrowed and may be NULL. Exceptions are stated at the callback.
 * - Threads: the last sentence of a comment names the thread that may call the function:
 *   - "Any thread": thread-safe. "One at a time" means that two threads must not call it at the same moment.
 *   - "Loop thread": the thread that runs the loop of the server or client. Before the server is started
 *     or the client is used: any thread, one at a time.
 *   - "Pool thread": the thread of the server's pool that runs the handler of a MCP_TOOL_BLOCKING tool.
 *   - "Thread of the call": the pool thread of the handler if the tool is MCP_TOOL_BLOCKING, otherwise the
 *     loop thread.
 * - Structs that a program fills end in a member named reserved, which must be zero, as any initializer
 *   leaves it. Later versions take new members from its space, and zero means the earlier behaviour, so a
 *   program runs with a later library without recompilation. A nonzero reserved member is rejected: the
 *   program was compiled for a later version of the library.
 * - Structs that the library fills may get members at their end in later versions. Read their members through
 *   the pointer, and do not copy a whole struct.
 * - The whole process ignores SIGPIPE from the first start of a server or creation of a client on, because a
 *   write after a connection reset must not end the process.
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
/* Lets the compiler check the arguments of a printf-like function: text is the position of the format,
 * first that of its first argument. */
#define MCP_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
/* Marks a function that the shared library exports. */
#define MCP_EXPORT __attribute__((__visibility__("default")))
#else
#define MCP_PRINTF(text, first)
#define MCP_EXPORT
#endif

/* ---- Version --------------------------------------------------------------------------------------- */

/* The major version of this header, by semantic versioning; a number for #if. */
#define MCP_VERSION_MAJOR 0
/* The minor version of this header. */
#define MCP_VERSION_MINOR 2
/* The patch version of this header. */
#define MCP_VERSION_PATCH 0
/* The version of this header as text. */
#define MCP_VERSION "0.2.0"

/* Returns the version of the library that is linked at run time, as text. The text is static: it is never
 * NULL and must not be freed. Any thread. */
MCP_EXPORT const char *mcp_version(void);

/* libuv's uv_loop_t. A program that creates its own loop includes <uv.h>; compile it with -std=gnu11 or
 * newer, and link it with libuv. */
struct uv_loop_s;

/* A server, which serves tools. Created by mcp_server_new(). */
typedef struct mcp_server mcp_server_t;

/* A client, which calls the tools of one server. Created by mcp_client_new(). */
typedef struct mcp_client mcp_client_t;

/* One tools/call request that a server has received and not yet responded to. The library passes it to the
 * tool's handler. */
typedef struct mcp_call mcp_call_t;

/* ---- Errors -------------------------------------------------------------------------------------------
 * All codes are in one int, in three ranges: system errors (-4095 to -1: a negative errno, which is also
 * libuv's code), errors of the library (-5099 to -5000), and JSON-RPC errors (-32768 to -32000), which peers
 * send and receive. */

/* The errors of the library: X(name, code, text) for each. docs/errors.md describes causes and remedies. */
#define MCP_ERROR_MAP(X)                                                                                     \
  X(MCP_EURL, -5000, "invalid address: expected ws://host:port/path, or wss, http or https")                 \
  X(MCP_ESTATE, -5001, "not allowed in the current state")                                                   \
  X(MCP_ECLOSED, -5002, "the client is closed")                                                              \
  X(MCP_ETIMEOUT, -5003, "timed out")                                                                        \
  X(MCP_EDISCONNECTED, -5004, "disconnected before the response arrived: the call may have been served")     \
  X(MCP_ERESOLVE, -5005, "cannot resolve the host name")                                                     \
  X(MCP_ECONNECT, -5006, "cannot connect: no address of the host accepted the connection")                   \
  X(MCP_EUPGRADE, -5007, "no MCP server answered at this address: check host, port and path")                \
  X(MCP_EREFUSED, -5008, "the peer refused the connection with 401 or 403: check the token")                 \
  X(MCP_EPROTOCOL, -5009, "the peer violated the protocol")                                                  \
  X(MCP_ELIMIT, -5010, "the limit of waiting calls, timers or names is reached")                             \
  X(MCP_ETOOBIG, -5011, "the message is larger than the limit")                                              \
  X(MCP_EENCODE, -5012, "the value cannot be encoded as JSON")                                               \
  X(MCP_EENV, -5013, "an environment variable has an invalid value: see the log")                            \
  X(MCP_ETOOL, -5014, "invalid definition of a tool: see the log")                                           \
  X(MCP_ECANCELED, -5015, "the call was cancelled on this side")                                             \
  X(MCP_ETLS, -5016, "the TLS handshake failed: check the certificate, or use ws:// or http://")             \
  X(MCP_EPATH, -5017, "not an absolute path inside an allowed directory")                                    \
  X(MCP_ENOTREGULAR, -5018, "not a regular file")                                                            \
  X(MCP_EBUSY, -5019, "the peer is busy (close code 1013, or HTTP 429 or 503): retry later")

/* The errors of the library and of JSON-RPC 2.0. */
enum {
#define MCP_ERROR_ENUM(name, code, text) name = (code),
  MCP_ERROR_MAP(MCP_ERROR_ENUM)
#undef MCP_ERROR_ENUM
  /* Parse error (JSON-RPC 2.0 section 5.1): the message is not valid JSON. */
  MCP_PARSE_ERROR = -32700,
  /* Invalid request (JSON-RPC 2.0 section 5.1): the JSON is not a request. */
  MCP_INVALID_REQUEST = -32600,
  /* Method not found (JSON-RPC 2.0 section 5.1). */
  MCP_METHOD_NOT_FOUND = -32601,
  /* Invalid params (JSON-RPC 2.0 section 5.1): arguments do not match the tool's schema. */
  MCP_INVALID_PARAMS = -32602,
  /* Internal error (JSON-RPC 2.0 section 5.1). */
  MCP_INTERNAL_ERROR = -32603,
  /* The tool failed. A tool may choose another code from -32000 to -32099. */
  MCP_TOOL_ERROR = -32000
};

/* The system errors that a caller may want to distinguish: X(name, number, text) for each. Functions may
 * return other system errors, too. A code is the negative of its errno: MCP_EINVAL is -EINVAL. */
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

/* The system errors. */
enum {
#define MCP_ERROR_ENUM(name, number, text) name = (-(number)),
  MCP_SYSTEM_ERROR_MAP(MCP_ERROR_ENUM)
#undef MCP_ERROR_ENUM
};

/* Returns the text of a code: "success" for 0, "unknown error" for an unknown code. The text is static: it is
 * never NULL and must not be freed. Any thread. */
MCP_EXPORT const char *mcp_strerror(int code);

/* Returns a one-line description of the last error on this thread, or "" if there was none. Only functions
 * whose comments mention mcp_last_error() set it, on the errors stated there. Read it directly after such an
 * error: the text is valid until the next call of the library on this thread. It must not be freed. Any
 * thread. */
MCP_EXPORT const char *mcp_last_error(void);

/* ---- Logging and memory ---------------------------------------------------------------------------- */

/* The levels of log lines, in rising order. */
enum {
  MCP_LOG_TRACE, /* each request and each step of a call */
  MCP_LOG_DEBUG, /* connections, and details for developers */
  MCP_LOG_INFO,  /* normal operation; the default minimum */
  MCP_LOG_WARN,  /* the program continues, but an operator should look */
  MCP_LOG_ERROR  /* an operation failed */
};

/* Writes one line to the log: to stderr and, while a server of this process runs, also to Godot
 * (mcp_server_set_log_url()).
 *
 * level is a MCP_LOG_... constant. part names the origin of the line, such as "worker"; NULL means "log".
 * In Godot the line is attributed to the running server named part, or else to the first one started.
 * format and its arguments are as for printf(); the message is cut at 8 KiB. A line that a handler logs
 * before it returns or ends its call gets the trace id and the span of that call. For a call that is ended
 * later, use mcp_call_log() after the handler has returned.
 *
 * While a server runs, the function makes no system call, unless several threads log at the same moment and
 * one of them waits for a lock. A thread of the library writes the line to stderr within 50 ms and sends it
 * to Godot as soon as Godot accepts it. Up to 10,000 lines and 8 MiB are buffered; beyond that, the oldest
 * lines are dropped, counted and reported. Lines in memory are lost if the process crashes. Any thread. */
MCP_EXPORT void mcp_log(int level, const char *part, const char *format, ...) MCP_PRINTF(3, 4);

/* Writes one line with a trace id and data to the log, otherwise like mcp_log().
 *
 * trace_id may be NULL; Godot receives only trace ids of at most 128 bytes. data may be NULL; it is
 * borrowed until the function returns. Data of more than 128 KiB is replaced by its size.
 *
 * Secrets in data are replaced by "[REDACTED]" first. A secret is the value of a member, at any depth, whose
 * name is or ends in password, token, api_key, authorization, secret or a name added by mcp_log_redact(). The
 * comparison ignores case and word separators (accessToken, API-KEY). Any thread. */
MCP_EXPORT void mcp_log_data(int level, const char *part, const char *trace_id, yyjson_mut_val *data,
                             const char *format, ...) MCP_PRINTF(5, 6);

/* The position of a call in its trace, as text that ends with NUL; "" where a part is unknown. It holds no
 * pointer: you can copy it, pass it to another thread, and keep it longer than the call. Filled by
 * mcp_call_span(). A span that is all zeros belongs to no trace. */
typedef struct mcp_span {
  char trace_id[129]; /* the trace id, at most 128 bytes of UTF-8 */
  char span_id[17];   /* the id of the call, 16 hexadecimal digits in lower case */
  char parent_id[17]; /* the id of the call that it was made for, at most 16 bytes */
} mcp_span_t;

/* Returns true if a line of this level would be written to stderr or the log handler, or sent to Godot. Use
 * it before you compose a line that is expensive. level is a MCP_LOG_... constant; another value returns
 * false. The result can change at any time. Any thread. */
MCP_EXPORT bool mcp_log_enabled(int level);

/* Writes one line to the log, otherwise like mcp_log(), for languages without printf().
 *
 * level is a MCP_LOG_... constant. part is as for mcp_log(). span is the call that the line belongs to, also
 * one that has ended; NULL means the call whose handler runs on this thread, if any. message has message_len
 * bytes, of which at most 8 KiB are written; NUL and bytes that are not UTF-8 become "?". data is JSON text
 * of data_len bytes, or NULL with 0 for none: text that is not JSON, or longer than 128 KiB, is replaced by
 * its size. Secrets in data are redacted as by mcp_log_data(). All texts are borrowed until the function
 * returns. Any thread. */
MCP_EXPORT void mcp_log_text(int level, const char *part, const mcp_span_t *span, const char *message,
                             size_t message_len, const char *data, size_t data_len);

/* Adds a name whose values are secrets, for the whole process. Call it before the first server starts.
 * name has 1 to 63 bytes, at least one of them a letter or digit. Up to 59 names can be added. Returns 0
 * or:
 * - MCP_EINVAL: name is NULL or is not such a name.
 * - MCP_ELIMIT: 59 names have been added.
 *
 * Any thread, one at a time. */
MCP_EXPORT int mcp_log_redact(const char *name);

/* Receives each log line that would otherwise be written to stderr. level is a MCP_LOG_... constant. text is
 * the message, the data and the trace id on one line, safe to be shown (see mcp_printable_next()). part and
 * text are borrowed until the callback returns. The callback runs on the thread that logs, which may be any
 * thread, several at a time, and must not block. */
typedef void (*mcp_log_cb)(int level, const char *part, const char *text, void *arg);

/* Sends log lines to cb instead of stderr, or to stderr if cb is NULL. Call it before any other function of
 * the library. min_level is a MCP_LOG_... constant: lines of a lower level are dropped. MCP_LOG_ERROR + 1
 * drops all lines. Without this call the minimum is LOG_LEVEL from the environment, or INFO. The minimum also
 * applies to lines for Godot, unless Godot requests another level. Any thread, one at a time. */
MCP_EXPORT void mcp_set_log_handler(mcp_log_cb cb, int min_level, void *arg);

/* Converts the name of a level to its MCP_LOG_... constant: "INFO" to MCP_LOG_INFO. Case is ignored.
 * Returns -1 if name is NULL or not a level. Any thread. */
MCP_EXPORT int mcp_log_level_parse(const char *name);

/* Converts a JSON string with the name of a level to its MCP_LOG_... constant. Case is ignored. Returns -1
 * if value is NULL, not a string or not a level. Any thread. */
MCP_EXPORT int mcp_log_level_from_json(yyjson_val *value);

/* Returns the name of a level in upper case: "INFO" for MCP_LOG_INFO. Returns NULL if level is not a
 * level. The text is static. Any thread. */
MCP_EXPORT const char *mcp_log_level_name(int level);

/* An allocator: functions that behave like those of C with the same names. They are called on any thread. */
typedef struct mcp_allocator {
  /* Allocates size bytes, at least 1. Returns NULL if there is not enough memory. */
  void *(*malloc_cb)(size_t size, void *arg);
  /* Resizes memory to size bytes. Returns NULL if there is not enough memory; memory then stays valid. */
  void *(*realloc_cb)(void *memory, size_t size, void *arg);
  /* Frees memory, which is not NULL. */
  void (*free_cb)(void *memory, void *arg);
  void *arg;               /* passed to all three functions; borrowed */
  const void *reserved[4]; /* must be zero */
} mcp_allocator_t;

/* Takes all memory of the library from the given allocator. Call it before any other function of the
 * library. allocator is copied; its functions must stay callable on any thread. Returns 0 or:
 * - MCP_ESTATE: the library has allocated memory already.
 * - MCP_EINVAL: a reserved member is not zero.
 *
 * Any thread, one at a time. */
MCP_EXPORT int mcp_set_allocator(const mcp_allocator_t *allocator);

/* Returns the number of blocks of memory that the library holds at the moment: those it has taken from its
 * allocator and not given back. Use it in tests, to find leaks: after an equal amount of work it is the same
 * again, apart from memory that servers and clients keep for reuse until they are freed. Any thread. */
MCP_EXPORT uint64_t mcp_memory_blocks(void);

/* Makes the library ignore its environment variables (ICCM_..., GODOT_URL, LOG_LEVEL, LOGGING_ENABLED),
 * for a program that embeds it. Call it before any other function of the library. Servers and clients then
 * have their defaults, the log shows INFO and above, and log lines are sent only to an address set by
 * mcp_server_set_log_url(). Functions that read a variable by its name (iccm_service.h) still read it. Any
 * thread, one at a time. */
MCP_EXPORT void mcp_ignore_environment(void);

/* ---- JSON in text ---------------------------------------------------------------------------------- */

/* Parses JSON from a peer, a file or a database, with the limits of a message: 64 levels and 12,500,000
 * values. The arguments of a handler and the results of a call are parsed already.
 *
 * text has len bytes and is borrowed until the function returns. A byte order mark at the beginning is
 * skipped. Half a surrogate pair (\ud83d alone) becomes U+FFFD. Integers of more than 64 bits and numbers
 * outside the range of a double keep their digits: yyjson_is_raw() is true for them, and they are written
 * unchanged.
 *
 * Returns a document, which you free by yyjson_doc_free(). Returns NULL if text is not valid JSON, exceeds
 * a limit or memory is exhausted; mcp_last_error() has the reason. Any thread. */
MCP_EXPORT yyjson_doc *mcp_json_read(const char *text, size_t len);

/* ---- Tools ----------------------------------------------------------------------------------------- */

/* Handles one call of a tool. args is an object that matches the tool's input_schema. call and args are
 * borrowed until the call is ended. arg is the arg of the tool.
 *
 * Where the schema requires an integer, yyjson_is_int() is true for any spelling (3.0, 1e1), unless the
 * number has more than 64 bits. A property that is not required may be null, which means that it is not
 * given.
 *
 * The handler must end the call with exactly one of mcp_call_reply(), mcp_call_reply_text(),
 * mcp_call_reply_content(), mcp_call_reply_content_text(), mcp_call_tool_error(), mcp_call_fail() and
 * mcp_call_fail_text(), before or after it returns, also if the call has been cancelled (see
 * mcp_call_cancelled()). A server has at most 65,536 calls that are not ended; further callers get
 * MCP_TOOL_ERROR. The handler runs on the loop thread and must not block; that of a MCP_TOOL_BLOCKING tool
 * runs on a pool thread. */
typedef void (*mcp_tool_cb)(mcp_call_t *call, yyjson_val *args, void *arg);

/* The flags of a tool. */
enum {
  /* The handler may block. It runs on one of the eight threads of the server's pool and must end the call
   * before it returns; otherwise the call fails with MCP_INTERNAL_ERROR. At most 1,024 calls wait for a
   * thread; further callers get MCP_TOOL_ERROR. */
  MCP_TOOL_BLOCKING = 1,
  /* The tool receives or returns log lines. Its calls are not logged, because each log line would otherwise
   * cause another one. */
  MCP_TOOL_LOG_TRAFFIC = 2,
  /* The tool is served, but tools/list does not show it. Use it for aliases, for example. */
  MCP_TOOL_UNLISTED = 4,
  /* The tool rejects unknown arguments with MCP_INVALID_PARAMS and names the nearest known one. Use it for
   * tools that read, change or delete by their arguments. Known are the properties of the input_schema and
   * of unlisted_properties. Within a property whose schema has properties, those are known. */
  MCP_TOOL_STRICT = 8,
  /* Together with MCP_TOOL_BLOCKING: the handler may wait for a long time, for other handlers of this kind
   * (the single writer of a database) or for another service. All calls of such tools together use at most
   * six of the pool's eight threads, so that other tools are served meanwhile; further calls wait for a
   * thread. */
  MCP_TOOL_WAITS = 16,
  /* Only administrators may call the tool (see mcp_server_set_tokens_file()). Use it for tools that delete
   * data of others, or that change how the server works. */
  MCP_TOOL_ADMIN = 32
};

/* Makes a C string of JSON that is written without escapes: MCP_JSON({"a": 1}) is "{\"a\": 1}". A line
 * break outside of strings becomes a space, and comments are removed. Invalid JSON is rejected by the
 * function that uses it. Do not use it in an argument of another macro: the preprocessor would replace names
 * that are macros, such as true. A strict C99 compiler may reject more than 4,095 bytes, and replaces
 * trigraphs such as ??= in strings. */
#define MCP_JSON(...) #__VA_ARGS__

/* The annotations of most tools whose data is their own: one that changes nothing, one that adds data, and
 * one that changes or deletes data. The first lets callers with the role read call the tool (see
 * mcp_server_set_tokens_file()). */
#define MCP_READS "{\"readOnlyHint\":true,\"openWorldHint\":false}"
#define MCP_ADDS "{\"readOnlyHint\":false,\"destructiveHint\":false,\"openWorldHint\":false}"
#define MCP_CHANGES "{\"readOnlyHint\":false,\"destructiveHint\":true,\"openWorldHint\":false}"

/* One tool of a server. name and handler are required; the other members may be zero. */
typedef struct mcp_tool {
  /* The name: 1 to 128 of A-Z a-z 0-9 _ - . */
  const char *name;
  /* The description, for users and language models. NULL means none. */
  const char *description;
  /* The JSON Schema of the arguments, as text; it must have "type":"object". NULL means any object. */
  const char *input_schema;
  mcp_tool_cb handler; /* handles the calls */
  void *arg;           /* passed to the handler; borrowed, see destroy */
  unsigned flags;      /* MCP_TOOL_... constants, combined by | */
  const char *title;   /* the name shown to users, or NULL */
  /* The JSON Schema of an object that every result must match. For a result that does not match, the
   * caller receives MCP_INTERNAL_ERROR, and the log names the mismatch. As in arguments, null means not
   * given. tools/list shows the schema from protocol version 2025-06-18 on. NULL means none. */
  const char *output_schema;
  /* A JSON object with readOnlyHint, destructiveHint, idempotentHint, openWorldHint, title. NULL means
   * none. */
  const char *annotations;
  /* A JSON array of objects with src, mimeType, sizes, theme. NULL means none. */
  const char *icons;
  /* A JSON object with more properties of input_schema. They are checked like its own properties, but
   * tools/list does not show them. A property that is also in input_schema is shown as in input_schema and
   * checked as here. NULL means none. */
  const char *unlisted_properties;
  /* A JSON object with the capabilities that a client must have declared to call the tool, for example
   * {"sampling": {}}. From protocol version 2026-07-28 on, where each request declares them, a call without
   * one of them gets the error -32021, whose data names those that are missing; older versions are not
   * checked. NULL means none. */
  const char *client_capabilities;
  /* Called with arg exactly once, when the library no longer uses it: when the tool was removed or its server
   * freed, and all of its calls have been ended; or when the function that was given the tool fails, before
   * it returns. It runs on the loop thread, or, if a blocking handler outlives its server, on the pool
   * thread. It must not call functions of the library other than mcp_log(). NULL means that nothing is
   * called. */
  void (*destroy)(void *arg);
  const void *reserved[4]; /* must be zero */
} mcp_tool_t;

/* The last element of a table of tools. */
#ifdef __cplusplus
#define MCP_TOOL_END                                                                                         \
  {}
#else
#define MCP_TOOL_END                                                                                         \
  { 0 }
#endif

/* ---- Server ---------------------------------------------------------------------------------------- */

/* Creates a server that offers the tools of a table up to MCP_TOOL_END. It listens, once it is started, on
 * all IPv4 and IPv6 addresses of the machine.
 *
 * name has 1 to 256 bytes; it is also the component of the server's log lines. version is any UTF-8 text.
 * port is 0 to 65535; port 0 picks a free one (see mcp_server_port()). Everything is copied, except that the
 * arg of each tool stays borrowed (see mcp_tool_t.destroy, which is also called if this function fails). The
 * server reads its settings from the environment (ICCM_..., see docs/api.md), unless mcp_ignore_environment()
 * was called.
 *
 * Returns the server, which you free by mcp_server_free(). Returns NULL if name, version, port, a tool or
 * an environment variable is invalid, or memory is exhausted; mcp_last_error() and the log have the
 * reason. Any thread. */
MCP_EXPORT mcp_server_t *mcp_server_new(const char *name, const char *version, int port,
                                        const mcp_tool_t *tools);

/* Sets the size of the largest message that the server accepts. The server closes the connection of a
 * larger one with 1009. bytes is 1 KiB to 200 MiB. Default: ICCM_MAX_MESSAGE_BYTES, or 16 MiB. Returns 0
 * or:
 * - MCP_ESTATE: the server is started.
 * - MCP_EINVAL: bytes is out of range.
 *
 * Loop thread. */
MCP_EXPORT int mcp_server_set_max_message_bytes(mcp_server_t *server, size_t bytes);

/* Sets the memory for everything that peers send and that results from it: messages, parsed arguments and
 * responses that wait to be sent. While more than a quarter of it is used, the server does not read from
 * connections that hold more than their share: the quarter is divided equally among the addresses of the
 * peers, and the part of an address equally among its connections. When all of the memory is used, the server
 * closes the connections that hold most with 1013. bytes is 1 MiB to 1 TiB; the server uses at least five
 * times the message limit. Default: ICCM_MAX_MEMORY_BYTES, or 1 GiB. Returns 0 or:
 * - MCP_ESTATE: the server is started.
 * - MCP_EINVAL: bytes is out of range.
 *
 * Loop thread. */
MCP_EXPORT int mcp_server_set_max_memory_bytes(mcp_server_t *server, size_t bytes);

/* Sets the number of connections that may be open at a time; further ones get 503. connections is 1 to
 * 1,000,000. The server lowers it, with a warning, if the process may not open enough descriptors.
 * Default: ICCM_MAX_CONNECTIONS, or 1,024. Returns 0 or:
 * - MCP_ESTATE: the server is started.
 * - MCP_EINVAL: connections is out of range.
 *
 * Loop thread. */
MCP_EXPORT int mcp_server_set_max_connections(mcp_server_t *server, int connections);

/* Sets whether peers outside private networks may connect without a token. Default: ICCM_ALLOW_PUBLIC, or
 * false. Returns 0, or MCP_ESTATE if the server is started. Loop thread. */
MCP_EXPORT int mcp_server_set_allow_public(mcp_server_t *server, bool allow);

/* Sets whether the server shares its port with other servers of the same user that also set this
 * (SO_REUSEPORT). The kernel distributes new connections among them. Port 0 still picks a free port, which
 * is not shared. Default: ICCM_REUSEPORT, or false. Returns 0, or MCP_ESTATE if the server is started. Loop
 * thread. */
MCP_EXPORT int mcp_server_set_reuseport(mcp_server_t *server, bool reuse);

/* Sets the origins whose browser pages may send requests without the token, in addition to the server's
 * own origin. origins is a list of "scheme://host:port", separated by commas; "*" allows any; NULL allows
 * no other origin. Default: ICCM_ALLOWED_ORIGINS, or NULL. Returns 0 or:
 * - MCP_ESTATE: the server is started.
 * - MCP_ENOMEM: not enough memory.
 *
 * Loop thread. */
MCP_EXPORT int mcp_server_set_allowed_origins(mcp_server_t *server, const char *origins);

/* Sets the names that browser pages, and plain GET requests, may use for the server in Host without the
 * token. hosts is a list of names, separated by commas; "*" allows any; NULL allows no other name.
 * Addresses, localhost, names without a dot and names that end in .localhost, .local, .internal, .svc or
 * .cluster.local are always allowed. Any other name gets 403, because a page could have bound its own name
 * to this machine (DNS rebinding). Default: ICCM_ALLOWED_HOSTS, or NULL. Returns 0 or:
 * - MCP_ESTATE: the server is started.
 * - MCP_ENOMEM: not enough memory.
 *
 * Loop thread. */
MCP_EXPORT int mcp_server_set_allowed_hosts(mcp_server_t *server, const char *hosts);

/* Sets the token that peers must send; a peer without it gets 401. A peer sends it as "Authorization:
 * Bearer", or offers a subprotocol mcp.auth.<token>, which browsers can do. With a token, peers outside
 * private networks may connect, too, and only /healthz and the status of /readyz are available without it.
 *
 * token has 1 to 512 of A-Z a-z 0-9 - . _ ~ + / and may end in =. NULL requires no token. The server keeps
 * only a digest of it. Default: ICCM_AUTH_TOKEN, or NULL. Returns 0 or:
 * - MCP_ESTATE: the server is started.
 * - MCP_EINVAL: token is invalid.
 * - MCP_ENOMEM: not enough memory.
 *
 * Loop thread. */
MCP_EXPORT int mcp_server_set_auth_token(mcp_server_t *server, const char *token);

/* Sets a file with tokens that peers may send instead of that of mcp_server_set_auth_token(), each with a
 * name, a role and an end. Each line of the file is "NAME ROLE END sha256:HEX", where
 * - NAME is 1 to 64 of A-Z a-z 0-9 - . _ @ ; it appears in the log,
 * - ROLE is read, write or admin, and END is "never" or a time (see mcp_time_parse_end()),
 * - HEX is the SHA-256 of the token in 64 hexadecimal digits; iccm token makes such a line.
 * Empty lines and lines that begin with # are skipped. The file has at most 1,000 tokens and 256 KiB, and
 * must not be writable by everybody.
 *
 * The role read may call tools whose annotations have "readOnlyHint": true, and see the pages and metrics;
 * the role write may call all other tools except those with MCP_TOOL_ADMIN; the role admin may call all. A
 * call that the role does not permit gets MCP_TOOL_ERROR. The token of mcp_server_set_auth_token() has the
 * role admin, as has each peer of a server without tokens.
 *
 * The server reads the file at this call and at mcp_server_reload(). A connection whose token was removed or
 * has reached its end is closed. file is copied; NULL means no file. Default: ICCM_TOKENS, or NULL. Returns 0
 * or:
 * - MCP_ESTATE: the server is started.
 * - MCP_EINVAL: the file cannot be read or is invalid; mcp_last_error() names the line and the reason.
 * - MCP_ENOMEM: not enough memory.
 *
 * Loop thread. */
MCP_EXPORT int mcp_server_set_tokens_file(mcp_server_t *server, const char *file);

/* Makes the server use TLS 1.2 and 1.3 only: wss://, and https:// for the pages. Both files are PEM.
 * cert_file holds the certificate, followed by the intermediate certificates; key_file holds its private
 * key, without a password. The server reads the files at this call, and again by mcp_server_reload(). If
 * both are NULL, the server does not use TLS. Default: ICCM_TLS_CERT and ICCM_TLS_KEY, or
 * NULL. Returns 0 or:
 * - MCP_ESTATE: the server is started.
 * - MCP_EINVAL: only one of them is NULL, or a file is invalid; mcp_last_error() names the file and the
 *   reason.
 * - MCP_ENOMEM: not enough memory.
 *
 * Loop thread. */
MCP_EXPORT int mcp_server_set_tls(mcp_server_t *server, const char *cert_file, const char *key_file);

/* Sets the number of connections that one address may open in a second; further ones get 503. All IPv6
 * addresses of a /64 network count as one. connects is 0 to 1,000,000; 0 means no limit. If you want a limit,
 * begin with 10,000. Default: ICCM_MAX_CONNECTS_PER_SECOND, or 0. Returns 0 or:
 * - MCP_ESTATE: the server is started.
 * - MCP_EINVAL: connects is out of range.
 * - MCP_ENOMEM: not enough memory.
 *
 * Loop thread. */
MCP_EXPORT int mcp_server_set_max_connects_per_second(mcp_server_t *server, int connects);

/* Sets the number of messages that the server accepts from one connection in a second; beyond it the
 * server does not read from the connection until the second is over. messages is 0 to 1,000,000; 0 means
 * no limit. If you want a limit, begin with 10,000. Default: ICCM_MAX_MESSAGES_PER_SECOND, or 0. Returns 0
 * or:
 * - MCP_ESTATE: the server is started.
 * - MCP_EINVAL: messages is out of range.
 *
 * Loop thread. */
MCP_EXPORT int mcp_server_set_max_messages_per_second(mcp_server_t *server, int messages);

/* Sets the time that a call may take. When it has passed, the call is cancelled, and the caller gets
 * MCP_INTERNAL_ERROR. timeout_ms is at least 1. Default: 300,000; there is no environment variable.
 * Returns 0 or:
 * - MCP_ESTATE: the server is started.
 * - MCP_EINVAL: timeout_ms is 0.
 *
 * Loop thread. */
MCP_EXPORT int mcp_server_set_call_timeout_ms(mcp_server_t *server, uint64_t timeout_ms);

/* Sets how long a stop waits for calls in flight (see mcp_server_stop()). timeout_ms may be 0. It can
 * also be set while the server runs, until the stop begins. Default: 3,000; there is no environment variable.
 * Returns 0, or MCP_ESTATE if the server is stopping. Loop thread. */
MCP_EXPORT int mcp_server_set_shutdown_timeout_ms(mcp_server_t *server, uint64_t timeout_ms);

/* Sets the address of the Godot that receives the server's log lines, with the server's name as component.
 * url is one address or several, as for mcp_client_new(); NULL sends lines to stderr only. Default: the
 * address of mcp_client_new_godot(), or NULL if LOGGING_ENABLED is false.
 *
 * Connections, requests, calls and their errors become log lines automatically, except for calls of tools
 * with MCP_TOOL_LOG_TRAFFIC and for lines that their handlers log before they return. A Godot that is
 * unavailable or slow delays nothing; its lines wait, see mcp_log(). A line that is sent again, to the
 * same or another address, keeps its id and created_at. Returns 0 or:
 * - MCP_ESTATE: the server is started.
 * - MCP_EURL: url is not a valid address; mcp_last_error() has the reason.
 * - MCP_ENOMEM: not enough memory.
 *
 * Loop thread. */
MCP_EXPORT int mcp_server_set_log_url(mcp_server_t *server, const char *url);

/* Returns the params of a notification to one client that declared the experimental capability of
 * mcp_server_set_experimental_capability(), or NULL to send none this time. initialize_params are the
 * params of that client's initialize request, borrowed until the callback returns. The returned document
 * is stolen. The callback runs on the loop thread, before the server sends the notification. */
typedef yyjson_mut_doc *(*mcp_capability_cb)(mcp_server_t *server, yyjson_val *initialize_params, void *arg);

/* Sends notifications to clients that declare an experimental capability in initialize. The method is
 * "notifications/<capability>". Such a client gets one directly after the response to initialize, and one
 * after each mcp_server_notify(). cb makes the params of each.
 *
 * capability has 1 to 128 bytes. The client must declare it as an object. The server keeps initialize
 * params of at most 4 KiB; a client that sent larger ones gets no notification. A server has at most one
 * such capability. Returns 0 or:
 * - MCP_ESTATE: the server is started, or has a capability already.
 * - MCP_EINVAL: capability is not 1 to 128 bytes of UTF-8.
 * - MCP_ENOMEM: not enough memory.
 *
 * Loop thread. */
MCP_EXPORT int mcp_server_set_experimental_capability(mcp_server_t *server, const char *capability,
                                                      mcp_capability_cb cb, void *arg);

/* Sends the notification of mcp_server_set_experimental_capability() to each client that declared the
 * capability. Calls that follow each other directly may result in one notification. Loop thread. */
MCP_EXPORT void mcp_server_notify(mcp_server_t *server);

/* Reports whether a dependency of the server is available. While one is unavailable, GET /readyz returns
 * 503 and lists the dependencies and their reasons.
 *
 * dependency is its name, such as "disk". reason is NULL if it is available, otherwise a description for
 * the operator. Unless the server requires a token, anyone who can reach the port can read it. Each change
 * between available and unavailable is logged. Returns 0, or MCP_ENOMEM: nothing has changed. Any thread,
 * until the server is freed. */
MCP_EXPORT int mcp_server_set_dependency(mcp_server_t *server, const char *dependency, const char *reason);

/* A metric of a server, which GET /metrics shows in the text format of Prometheus, together with those of
 * the library (docs/api.md):
 *
 *     heat = mcp_server_metric(server, MCP_GAUGE, "oven_celsius", "Temperature.", "shelf");
 *     mcp_metric_set(heat, "upper", 180);
 *
 * The server owns it. It is valid until the server is freed, and in a handler until its call is ended. */
typedef struct mcp_metric mcp_metric_t;

/* The types of metrics. */
enum {
  MCP_COUNTER,  /* a value that only rises */
  MCP_GAUGE,    /* a value that rises and falls */
  MCP_HISTOGRAM /* count and sum of durations in seconds, with buckets from 0.0001 to 300 */
};

/* Creates a metric, or returns the existing one of the same type, name and label, which keeps its help.
 *
 * type is MCP_COUNTER, MCP_GAUGE or MCP_HISTOGRAM. name has 1 to 128 of A-Z a-z 0-9 _ : and begins neither
 * with a digit nor with iccm_; the name of a counter ends in _total by convention. help is at most 1,024
 * bytes. label is the name of the only label, 1 to 128 of A-Z a-z 0-9 _ , begins neither with a digit nor
 * with __ and is not le; NULL means no label. A server has at most 256 metrics.
 *
 * Returns the metric, which the server owns. Returns NULL if an argument is invalid, the name is in use by
 * another metric, the limit is reached or memory is exhausted; mcp_last_error() and the log have the
 * reason. Any thread, at any time. */
MCP_EXPORT mcp_metric_t *mcp_server_metric(mcp_server_t *server, int type, const char *name, const char *help,
                                           const char *label);

/* Creates a counter whose label values are known, like mcp_server_metric() with MCP_COUNTER. Each value is
 * shown as 0 from the start, so that a scraper sees the first increment.
 *
 * name, help and label are as for mcp_server_metric(). values is an array of label values that ends with
 * NULL; it is copied. label and values may both be NULL: the counter has no label. Returns the metric, or
 * NULL on the errors of mcp_server_metric(). Any thread, at any time. */
MCP_EXPORT mcp_metric_t *mcp_server_counter(mcp_server_t *server, const char *name, const char *help,
                                            const char *label, const char *const *values);

/* Adds value to a counter or gauge, or records it in a histogram. A value that is not finite is ignored,
 * as is a negative one unless the metric is a gauge.
 *
 * metric may be NULL: the call does nothing. label_value is the value of the metric's label; a metric
 * without label ignores it. A metric has at most 100 label values: further ones, and one that is NULL,
 * longer than 128 bytes or not UTF-8, count as "other". Any thread; takes a lock only for the first use of
 * a label value. */
MCP_EXPORT void mcp_metric_add(mcp_metric_t *metric, const char *label_value, double value);

/* Sets a gauge to value; other types of metrics do not change. A value that is not finite is ignored.
 * metric may be NULL: the call does nothing. label_value is as for mcp_metric_add(). Any thread; takes a
 * lock only for the first use of a label value. */
MCP_EXPORT void mcp_metric_set(mcp_metric_t *metric, const char *label_value, double value);

/* Adds a tool to a server, before or after its start. Connections of protocol version 2025-03-26 or newer
 * receive notifications/tools/list_changed. The tool is copied; its arg is borrowed until the tool is
 * removed and its calls in flight have been ended, or until the server is freed (see mcp_tool_t.destroy,
 * which is also called if this function fails). Returns 0; on failure nothing has changed:
 * - MCP_ESTATE: the server is stopping.
 * - MCP_EINVAL: the tool has no name.
 * - MCP_ETOOL: the definition is invalid, or the name is in use; the log has the reason.
 * - MCP_ENOMEM: not enough memory.
 *
 * Loop thread. */
MCP_EXPORT int mcp_server_add_tool(mcp_server_t *server, const mcp_tool_t *tool);

/* Removes a tool from a server, before or after its start. Connections of protocol version 2025-03-26 or
 * newer receive notifications/tools/list_changed. Calls of the tool that are in flight end normally and
 * still use its arg. Returns 0; on failure nothing has changed:
 * - MCP_ESTATE: the server is stopping.
 * - MCP_ENOENT: no tool has this name.
 * - MCP_ENOMEM: not enough memory.
 *
 * Loop thread. */
MCP_EXPORT int mcp_server_remove_tool(mcp_server_t *server, const char *name);

/* Runs the server on a private loop until SIGTERM or SIGINT, then stops it gracefully. A second signal
 * ends the process at once with status 128 + its number. If the server uses TLS or a file of
 * tokens, SIGHUP calls mcp_server_reload(). Returns 0 after the stop, or a code:
 * - MCP_ETIMEOUT: the server has stopped, but a blocking handler is still running. You can free the server,
 *   but not the objects that the handler uses; then end the process.
 * - MCP_ESTATE: the server is started already.
 * - MCP_EADDRINUSE, MCP_EACCES, MCP_ENOMEM or another system error: the server could not start; the log
 *   has the reason.
 *
 * The calling thread becomes the loop thread. */
MCP_EXPORT int mcp_server_run(mcp_server_t *server);

/* Like mcp_server_run(), but serves the host that has started this process: one JSON-RPC message per line on
 * standard input and output (MCP's stdio transport). No port is opened, and the settings of connections have
 * no effect. ICCM_TRANSPORT=stdio makes mcp_server_run() and mcp_server_start() do the same.
 *
 * From the start on, the file descriptors 0 and 1 of the process are /dev/null and standard error, also after
 * the end, so that a handler that prints cannot break the stream. A process can do this once. When the host
 * closes standard input, calls in flight finish within the call timeout, their responses are written, and the
 * server stops. It also stops if the host closes standard output, or reads no responses for 30 s; the log has
 * the reason. Started with mcp_server_start() on a loop that mcp_loop_run() runs, the server then stops that
 * loop: on_stop is called. On another loop, it sends SIGTERM to the process.
 *
 * Returns the codes of mcp_server_run(), of which MCP_ESTATE also means that a server of this process has
 * taken standard input and output before, or -EBADF if one of them is closed. */
MCP_EXPORT int mcp_server_run_stdio(mcp_server_t *server);

/* Starts the server on your loop: binds and listens at once, and serves while the loop runs. loop is
 * borrowed until the server has stopped. It may be a loop that another event loop drives (docs/api.md). No
 * signal is handled. Returns 0. On failure returns a code, the server does not listen,
 * and the loop must run once more before it is closed:
 * - MCP_ESTATE: the server is started already.
 * - MCP_EADDRINUSE, MCP_EACCES, MCP_ENOMEM or another system error: the server could not start; the log
 *   has the reason.
 *
 * Loop thread. */
MCP_EXPORT int mcp_server_start(mcp_server_t *server, struct uv_loop_s *loop);

/* Reads the files of mcp_server_set_tls() and mcp_server_set_tokens_file() again. New connections use the new
 * certificate; the tokens also hold for open connections. If a file is invalid, the log has the reason, and
 * the server continues with its old content. mcp_server_run() does this at SIGHUP; a program with its own
 * loop decides itself when. At any time. Returns 0, also if there is no such file, or:
 * - MCP_EINVAL: a file is invalid; mcp_last_error() has the reason.
 * - MCP_ENOMEM: not enough memory.
 *
 * Loop thread. */
MCP_EXPORT int mcp_server_reload(mcp_server_t *server);

/* Returns the port of the server. Once it has been started this is the port in use, also if it was created
 * with port 0, or 0 if it serves standard input and output; before that it is the port given to
 * mcp_server_new(). Loop thread. */
MCP_EXPORT int mcp_server_port(const mcp_server_t *server);

/* Runs at the end of a stop, or at each interval of a timer, on the loop thread. */
typedef void (*mcp_server_cb)(mcp_server_t *server, void *arg);

/* Stops the server gracefully, then calls cb once. The server
 * - accepts no more connections,
 * - lets calls in flight finish within the shutdown timeout, then cancels the others: their callers get the
 *   error "the server is stopping" (MCP_INTERNAL_ERROR), and their handlers have 500 ms more to end them,
 * - does not begin calls that arrive during the stop: they get the error "the server is stopping,
 *   retry later" (MCP_TOOL_ERROR, with data.retry true),
 * - closes connections with 1012 (service restart),
 * - sends the remaining log lines to Godot while Godot accepts them, for at most another shutdown timeout.
 *
 * cb may be NULL, and may free the server. A handler must still end a call that it has not ended by then; the
 * memory of the call is freed at that time. Returns 0, or MCP_ESTATE if the server is not
 * started or is stopping already; cb then never runs. Loop thread. */
MCP_EXPORT int mcp_server_stop(mcp_server_t *server, mcp_server_cb cb, void *arg);

/* Calls cb every interval_ms while the server runs, the first time interval_ms after the start. cb runs on
 * the loop thread and must not block. A server has at most 64 timers; each is used again when the server
 * is started again. Returns 0 or:
 * - MCP_ESTATE: the server is started.
 * - MCP_EINVAL: interval_ms is 0.
 * - MCP_ELIMIT: the server has 64 timers already.
 * - MCP_ENOMEM: not enough memory.
 *
 * Loop thread. */
MCP_EXPORT int mcp_server_add_timer(mcp_server_t *server, uint64_t interval_ms, mcp_server_cb cb, void *arg);

/* Frees a server that was never started, or that has stopped: in the callback of mcp_server_stop() or
 * later. A server that still runs is not freed, and the log has an error. server may be NULL. Loop thread. */
MCP_EXPORT void mcp_server_free(mcp_server_t *server);

/* ---- Arguments of a call -----------------------------------------------------------------------------
 * These functions read an argument by its name from the args of a handler, which match the tool's
 * input_schema. */

/* Returns a string argument. Returns fallback if the argument is not given, is null or is not a string,
 * which an input_schema may permit.
 *
 * The text is borrowed until the call is ended, and ends with NUL. It may also contain NUL: *len receives
 * its length in bytes, or that of fallback, which is 0 for NULL. len may be NULL. Any thread. */
MCP_EXPORT const char *mcp_arg_text(yyjson_val *args, const char *name, const char *fallback, size_t *len);

/* Returns an integer argument in any spelling (3.0, 1e1). An integer of more than 64 bits returns
 * INT64_MAX or INT64_MIN. Returns fallback if the argument is not given, is null or is not an integer,
 * which an input_schema may permit. Any thread, until the call is ended. */
MCP_EXPORT int64_t mcp_arg_int(yyjson_val *args, const char *name, int64_t fallback);

/* Returns a number argument. A number outside the range of a double returns DBL_MAX or -DBL_MAX. Returns
 * fallback if the argument is not given, is null or is not a number, which an input_schema may permit. Any
 * thread, until the call is ended. */
MCP_EXPORT double mcp_arg_number(yyjson_val *args, const char *name, double fallback);

/* Returns a boolean argument. Returns fallback if the argument is not given, is null or is not a boolean,
 * which an input_schema may permit. Any thread, until the call is ended. */
MCP_EXPORT bool mcp_arg_bool(yyjson_val *args, const char *name, bool fallback);

/* ---- Calls being served ---------------------------------------------------------------------------- */

/* Returns the trace id of the call, or NULL. It comes from params._meta.trace_id, params._meta.traceparent
 * or the header X-Trace-ID, in this order. Borrowed until the call is ended. Thread of the call. */
MCP_EXPORT const char *mcp_call_trace_id(const mcp_call_t *call);

/* Copies the position of the call in its trace to *span, for lines and calls of other threads, or after the
 * end of the call. Parts that are unknown, and a parent_id of more than 16 bytes, are "". Thread of the call.
 */
MCP_EXPORT void mcp_call_span(const mcp_call_t *call, mcp_span_t *span);

/* Returns the arguments of the call as JSON text; *len receives its length. They are written at this call,
 * which costs time and memory: call it once. The text is borrowed until the call is ended, and ends with NUL.
 * Returns NULL, and 0 in *len, if memory is exhausted. Thread of the call. */
MCP_EXPORT const char *mcp_call_args_text(mcp_call_t *call, size_t *len);

/* Returns who made the call: the name of the token that admitted the caller (see
 * mcp_server_set_tokens_file()), or the address of the caller if the server requires no token. The token of
 * mcp_server_set_auth_token() has the name "ICCM_AUTH_TOKEN". "disconnected" if the server requires no token,
 * the caller has gone, and the tool has neither MCP_TOOL_ADMIN nor MCP_TOOL_BLOCKING. Never NULL. Borrowed
 * until the call is ended. Thread of the call. */
MCP_EXPORT const char *mcp_call_caller(const mcp_call_t *call);

/* Writes one line about this call to the log, with its trace id, its span and the span of its parent.
 *
 * level, format and secrets in data are as for mcp_log_data(). data is a value of mcp_call_doc(), or NULL.
 * For a tool with MCP_TOOL_LOG_TRAFFIC the line is written to stderr only. Thread of the call. */
MCP_EXPORT void mcp_call_log(mcp_call_t *call, int level, yyjson_mut_val *data, const char *format, ...)
    MCP_PRINTF(4, 5);

/* Writes one line about this call to the log, otherwise like mcp_call_log(), for languages without printf().
 * message and data are as for mcp_log_text(). Thread of the call. */
MCP_EXPORT void mcp_call_log_text(mcp_call_t *call, int level, const char *message, size_t message_len,
                                  const char *data, size_t data_len);

/* Returns the document of the call, in which you build its result. The call owns its memory; it is invalid
 * once the call is ended. Thread of the call. */
MCP_EXPORT yyjson_mut_doc *mcp_call_doc(mcp_call_t *call);

/* Returns the names of the arguments that the tool does not know (see MCP_TOOL_STRICT), as an array of
 * mcp_call_doc(), or NULL if it knows all of them. An argument that is null counts as not given. A tool
 * that stores the arguments it knows can list the others in its result:
 *
 *     yyjson_mut_obj_add_val(doc, result, "ignored", mcp_call_ignored(call));
 *
 * which adds nothing if the value is NULL. Thread of the call. */
MCP_EXPORT yyjson_mut_val *mcp_call_ignored(mcp_call_t *call);

/* Sends a progress notification if the caller supplied a progressToken. The function is cheap: the server
 * sends the newest report every 50 ms, and the last one directly before the response.
 *
 * progress must be greater than in the report before. total is its final value; 0 or less means unknown.
 * message may be NULL. Returns 0 or:
 * - MCP_EINVAL: progress is not greater than before, a number is not finite, or message is not UTF-8.
 * - MCP_ENOMEM: not enough memory.
 * - MCP_ESTATE: the call is cancelled (see mcp_call_cancelled()).
 *
 * Thread of the call. */
MCP_EXPORT int mcp_call_progress(mcp_call_t *call, double progress, double total, const char *message);

/* Returns true once the caller has disconnected or cancelled the call, the deadline of the call has
 * passed, or the shutdown timeout of a stopping server has passed. The handler must still end the call.
 * Thread of the call. */
MCP_EXPORT bool mcp_call_cancelled(const mcp_call_t *call);

/* Why a call was cancelled. */
typedef enum mcp_cancel_reason {
  MCP_CANCEL_NONE,         /* it is not cancelled */
  MCP_CANCEL_REQUESTED,    /* the caller cancelled it */
  MCP_CANCEL_DISCONNECTED, /* the caller's connection is gone */
  MCP_CANCEL_DEADLINE,     /* the deadline of the call has passed */
  MCP_CANCEL_STOPPING      /* the server is stopping, and its shutdown timeout has passed */
} mcp_cancel_reason_t;

/* Returns why the call was cancelled: the first reason, if several apply. MCP_CANCEL_NONE means that
 * mcp_call_cancelled() is false. Thread of the call. */
MCP_EXPORT mcp_cancel_reason_t mcp_call_cancel_reason(const mcp_call_t *call);

/* Calls cb when mcp_call_cancelled() becomes true: on the loop thread, at most once, and never after the
 * call was ended. If it is true already, cb runs in the next iteration of the loop. cb may end the call.
 * It replaces an earlier cb; NULL removes it. Not for MCP_TOOL_BLOCKING tools, whose handlers poll
 * mcp_call_cancelled(). Loop thread. */
MCP_EXPORT void mcp_call_on_cancel(mcp_call_t *call, void (*cb)(mcp_call_t *call, void *arg), void *arg);

/* Ends the call with a result. result is a value of mcp_call_doc(). When this function has returned, the
 * call, its arguments and its document are invalid, whatever the return value. Returns 0 or:
 * - MCP_EENCODE: result is NULL, cannot be encoded as JSON (invalid UTF-8, NaN or infinity, out of memory) or
 *   does not match the output_schema. The caller gets MCP_INTERNAL_ERROR, and the log names the tool and
 *   the place.
 * - MCP_ESTATE: the call was cancelled (see mcp_call_cancelled()), or was ended before, which is logged.
 *
 * Thread of the call. */
MCP_EXPORT int mcp_call_reply(mcp_call_t *call, yyjson_mut_val *result);

/* Ends the call with a result that is JSON text of len bytes, which is sent unchanged. The text is copied.
 * The handler is responsible for its validity, which only builds without NDEBUG check; UTF-8 is always
 * checked. When this function has returned, the call, its arguments and its document are invalid, whatever
 * the return value. Returns 0 or:
 * - MCP_EENCODE: json is NULL, is not valid, or does not match the output_schema. The caller gets
 *   MCP_INTERNAL_ERROR, and the log names the tool and the place.
 * - MCP_ESTATE: the call was cancelled (see mcp_call_cancelled()), or was ended before, which is logged.
 *
 * Thread of the call. */
MCP_EXPORT int mcp_call_reply_text(mcp_call_t *call, const char *json, size_t len);

/* Ends the call with MCP content blocks. content is an array of blocks (text, image, audio, resource_link,
 * resource). structured is an object for structuredContent, or NULL; it is required if the tool has an
 * output_schema, unless is_error is true. Both are values of mcp_call_doc(). is_error means that the tool
 * failed.
 *
 * A direct call gets structured, or content if structured is NULL. With is_error, direct calls and callers
 * of protocol version 2024-11-05 get a JSON-RPC error MCP_TOOL_ERROR with the text of the first block.
 *
 * When this function has returned, the call, its arguments and its document are invalid, whatever the
 * return value. Returns 0 or:
 * - MCP_EENCODE: content is NULL, or a value cannot be encoded as JSON (invalid UTF-8, NaN or infinity,
 *   out of memory), is not a valid content block, or does not match the output_schema. The caller gets
 *   MCP_INTERNAL_ERROR, and the log names the tool and the place.
 * - MCP_ESTATE: the call was cancelled (see mcp_call_cancelled()), or was ended before, which is logged.
 *
 * Thread of the call. */
MCP_EXPORT int mcp_call_reply_content(mcp_call_t *call, yyjson_mut_val *content, yyjson_mut_val *structured,
                                      bool is_error);

/* Ends the call with MCP content blocks that are JSON text, otherwise like mcp_call_reply_content().
 *
 * content has content_len bytes. structured has structured_len bytes, or is NULL with 0 for none. Both are
 * borrowed until the function returns, and are checked: a text that is not valid JSON has the error
 * MCP_EENCODE. Thread of the call. */
MCP_EXPORT int mcp_call_reply_content_text(mcp_call_t *call, const char *content, size_t content_len,
                                           const char *structured, size_t structured_len, bool is_error);

/* Ends the call with a tool error, MCP_TOOL_ERROR: the tool ran, but failed. format and its arguments, as
 * for printf(), make a message for the caller, cut at 1,023 bytes; it must not contain paths or SQL. The
 * caller gets a JSON-RPC error on protocol version 2024-11-05 and for direct calls, otherwise a result
 * with isError.
 *
 * When this function has returned, the call, its arguments and its document are invalid, whatever the
 * return value. Returns 0 or:
 * - MCP_EENCODE: the response could not be written (out of memory).
 * - MCP_ESTATE: the call was cancelled (see mcp_call_cancelled()), or was ended before, which is logged.
 *
 * Thread of the call. */
MCP_EXPORT int mcp_call_tool_error(mcp_call_t *call, const char *format, ...) MCP_PRINTF(2, 3);

/* Ends the call with a JSON-RPC error. code is a JSON-RPC code; one from -32000 to -32099 is a tool error,
 * like that of mcp_call_tool_error(). data is a value of mcp_call_doc(), or NULL. format and its
 * arguments, as for printf(), make the message, cut at 1,023 bytes.
 *
 * When this function has returned, the call, its arguments and its document are invalid, whatever the
 * return value. Returns 0 or:
 * - MCP_EENCODE: data cannot be encoded as JSON (invalid UTF-8, NaN or infinity, out of memory); the caller
 *   gets the error without data.
 * - MCP_ESTATE: the call was cancelled (see mcp_call_cancelled()), or was ended before, which is logged.
 *
 * Thread of the call. */
MCP_EXPORT int mcp_call_fail(mcp_call_t *call, int code, yyjson_mut_val *data, const char *format, ...)
    MCP_PRINTF(4, 5);

/* Ends the call with a JSON-RPC error, otherwise like mcp_call_fail(), for languages without printf(). With
 * MCP_TOOL_ERROR and no data it is mcp_call_tool_error().
 *
 * message has message_len bytes; it is cut at 1,023 bytes and at a NUL. data is JSON text of data_len bytes,
 * or NULL with 0 for none; a text that is not valid JSON has the error MCP_EENCODE, and the caller gets the
 * error without data. Both are borrowed until the function returns. Thread of the call. */
MCP_EXPORT int mcp_call_fail_text(mcp_call_t *call, int code, const char *message, size_t message_len,
                                  const char *data, size_t data_len);

/* ---- Client ---------------------------------------------------------------------------------------- */

/* The result of a call. Everything is borrowed until the callback returns. Later versions may add members
 * at its end. */
typedef struct mcp_result {
  /* 0: the peer responded with a result. Otherwise a code of the library, a system error, or the code of
   * the peer's JSON-RPC error. */
  int status;
  /* True if the peer responded with a result that has isError: the tool failed. */
  bool is_error;
  /* The result's structuredContent; or else its first text, parsed as JSON; or else the whole result.
   * After a JSON-RPC error: its data. May be NULL. */
  yyjson_val *value;
  const char *text; /* the first text of the result's content, unchanged, or NULL */
  size_t text_len;  /* the length of text in bytes */
  /* A one-line error message if status is not 0 or is_error is true; otherwise NULL. */
  const char *message;
  char **value_text; /* used by mcp_result_value_text() alone */
} mcp_result_t;

/* Returns the value of a result that a callback receives, as JSON text; *len receives its length. The text is
 * borrowed until the callback returns, and ends with NUL. Returns NULL, and 0 in *len, if the result has no
 * value, was not made by the library, or memory is exhausted. Loop thread. */
MCP_EXPORT const char *mcp_result_value_text(const mcp_result_t *result, size_t *len);

/* Reports that a client is closed. Runs on the loop thread. It may free the client. */
typedef void (*mcp_client_cb)(mcp_client_t *client, void *arg);

/* Reports the result of a call or request. Runs exactly once, on the loop thread. result is borrowed until
 * the callback returns. */
typedef void (*mcp_result_cb)(mcp_client_t *client, const mcp_result_t *result, void *arg);

/* Creates a client of one server, over WebSocket or Streamable HTTP. It connects with the first call and then
 * reconnects automatically: it tries all IP addresses of the host, and after a lost connection it retries
 * with exponential backoff and jitter while there are calls to send. A client that is connected, or has calls
 * to send, keeps its loop running; mcp_client_close() ends that. If ICCM_AUTH_TOKEN is set, the client sends
 * that token to each peer it connects to.
 *
 * loop is borrowed and must outlive the client. url is "ws://host:port/path"; "host:port" and "host" are
 * also accepted, and the default port is 80. "wss://..." uses TLS 1.2 or 1.3, with default port 443; the
 * peer must present a certificate for that host that is signed by an authority in the system trust store.
 * url may list up to 8 addresses, separated by commas. Each attempt to connect tries them in order, each for
 * an equal part of 5 s to connect and of another 5 s for TLS, upgrade and initialize. (In a path or query, a
 * comma separates addresses only if a scheme follows.)
 *
 * "http://host:port/path" and "https://..." are MCP over Streamable HTTP; without a path it is /mcp. The
 * client asks the server for MCP 2026-07-28 first, and opens a session (2025-11-25 or older) if the server
 * does not know it. It sends up to 8 requests at a time, each on a separate connection that is kept for
 * later ones; further requests wait. If the server closes a kept connection before it answers, the request
 * is repeated once on a new connection. A cancelled or expired request closes its connection. With
 * 2026-07-28, which has no "ping", a request of that method asks server/discover. In a session, the client
 * receives notifications that belong to no request over one more connection, and continues a stream of events
 * that ends before the response, if its events have ids. Redirects are not followed.
 *
 * Returns the client, which you close by mcp_client_close() and then free by mcp_client_free(). Returns
 * NULL if url is not a valid address, ICCM_AUTH_TOKEN or, for wss://, the file ICCM_TLS_CA is invalid, or
 * memory is exhausted; mcp_last_error() and the log have the reason. Loop thread. */
MCP_EXPORT mcp_client_t *mcp_client_new(struct uv_loop_s *loop, const char *url);

/* Creates a client of Godot, like mcp_client_new() with the address in GODOT_URL.
 *
 * If GODOT_URL is not set, each attempt to connect uses ws://godot-mcp:9060, or ws://localhost:9060 if the
 * name godot-mcp cannot be resolved. The client then sends the token only to localhost, over the loopback
 * interface.
 *
 * Returns the client, which you close by mcp_client_close() and then free by mcp_client_free(). Returns
 * NULL on the errors of mcp_client_new(); mcp_last_error() and the log have the reason. Loop thread. */
MCP_EXPORT mcp_client_t *mcp_client_new_godot(struct uv_loop_s *loop);

/* Creates a client of a program that is an MCP server on standard input and output. It starts the program
 * with the first call and, if the program ends, again with a later call, after a delay that grows with each
 * failure. Calls in flight then fail with MCP_EDISCONNECTED. The client asks the program for MCP 2026-07-28
 * first, and sends "initialize" (2025-11-25 or older) if the program does not know it, or does not answer for
 * 3 s. The program has 30 s to answer.
 *
 * argv is the program, found in PATH, and its arguments, up to NULL; it is copied. The program inherits the
 * standard error of this process, and its environment with ICCM_TRANSPORT=stdio, which makes a server of this
 * library use stdio. A line that does not begin with "{" is skipped with a warning in the log; after 1 MiB of
 * such lines the program is ended. Settings of addresses, the token and TLS have no effect.
 *
 * mcp_client_close() closes the standard input of the program and waits until it ends; after 2 s it sends
 * SIGTERM, after 2 s more SIGKILL. If this process ends without that, the program only sees the end of its
 * input.
 *
 * Returns the client, which you close by mcp_client_close() and then free by mcp_client_free(). Returns
 * NULL if argv[0] is NULL or empty, or memory is exhausted; mcp_last_error() has the reason. A program that
 * cannot be started fails the calls with MCP_ECONNECT. Loop thread. */
MCP_EXPORT mcp_client_t *mcp_client_new_stdio(struct uv_loop_s *loop, const char *const *argv);

/* The stage that the connection of a client has reached. */
typedef enum mcp_stage {
  MCP_STAGE_NONE,       /* no attempt to connect was made */
  MCP_STAGE_RESOLVING,  /* resolving the host name */
  MCP_STAGE_CONNECTING, /* no address has accepted the connection yet */
  MCP_STAGE_TLS,        /* connected; the TLS handshake has not finished */
  MCP_STAGE_UPGRADE,    /* the peer has not responded to the upgrade to WebSocket */
  MCP_STAGE_INITIALIZE, /* WebSocket is open, or HTTP or stdio; no response to the first request yet */
  MCP_STAGE_OPEN        /* open for calls */
} mcp_stage_t;

/* Returns the stage of the current connection or attempt to connect. Without one, returns the stage that
 * the last attempt reached. Loop thread. */
MCP_EXPORT mcp_stage_t mcp_client_stage(const mcp_client_t *client);

/* Sets the size of the largest message that the client accepts and sends. bytes is 1 KiB to 200 MiB.
 * Default: 16 MiB; there is no environment variable. Returns 0 or:
 * - MCP_ESTATE: the client has been used (a call, a request or mcp_client_connect()).
 * - MCP_EINVAL: bytes is out of range.
 *
 * Loop thread. */
MCP_EXPORT int mcp_client_set_max_message_bytes(mcp_client_t *client, size_t bytes);

/* Sets the token that the client sends to its peer. token is as for mcp_server_set_auth_token() and is
 * copied; NULL sends none. Default: ICCM_AUTH_TOKEN, or NULL. Returns 0 or:
 * - MCP_ESTATE: the client has been used (a call, a request or mcp_client_connect()).
 * - MCP_EINVAL: token is invalid.
 * - MCP_ENOMEM: not enough memory.
 *
 * Loop thread. */
MCP_EXPORT int mcp_client_set_auth_token(mcp_client_t *client, const char *token);

/* Sets the authorities whose certificates the client accepts at wss:// addresses. ca_file is a PEM file of
 * certificates, which is read at once; NULL uses the system trust store. A client without a wss:// address
 * ignores it. Default: ICCM_TLS_CA, or NULL. Returns 0 or:
 * - MCP_ESTATE: the client has been used (a call, a request or mcp_client_connect()).
 * - MCP_EINVAL: the file is invalid; mcp_last_error() has the reason.
 * - MCP_ENOMEM: not enough memory.
 *
 * Loop thread. */
MCP_EXPORT int mcp_client_set_tls_ca(mcp_client_t *client, const char *ca_file);

/* Sets whether the client verifies the peer's certificate at wss:// addresses. Without verification an
 * attacker in the network path can impersonate the peer. Default: true; there is no environment variable.
 * Returns 0, or MCP_ESTATE if the client has been used (a call, a request or mcp_client_connect()). Loop
 * thread. */
MCP_EXPORT int mcp_client_set_tls_verify(mcp_client_t *client, bool verify);

/* Sets whether calls fail as soon as the peer is known to be unavailable. If true, a failed attempt to
 * connect fails the calls that wait for it, and calls that are made before the next attempt fail at once.
 * If false, calls wait for a connection until their deadline. Default: false; there is no environment
 * variable. Returns 0, or MCP_ESTATE if the client has been used (a call, a request or
 * mcp_client_connect()). Loop thread. */
MCP_EXPORT int mcp_client_set_fail_fast(mcp_client_t *client, bool fail_fast);

/* Connects now and keeps the client connected until it is closed, also without calls. Use it for a peer
 * that should always be available. Returns 0 or:
 * - MCP_ECLOSED: the client is closed or closing.
 * - MCP_ENOMEM or another system error: the client cannot use its loop.
 *
 * Loop thread. */
MCP_EXPORT int mcp_client_connect(mcp_client_t *client);

/* Reports the state of the connection: at each change, and after each failed attempt to connect. status is
 * 0 when the connection is open; otherwise it is the code of the failure. reason is a one-line description
 * of the failure, borrowed until the callback returns, or NULL if status is 0. Runs on the loop thread. */
typedef void (*mcp_client_state_cb)(mcp_client_t *client, int status, const char *reason, void *arg);

/* Sets the callback that receives the state of the connection. It replaces an earlier one; NULL removes
 * it. Loop thread. */
MCP_EXPORT void mcp_client_on_state(mcp_client_t *client, mcp_client_state_cb cb, void *arg);

/* Receives a notification from the peer. params may be NULL. method and params are borrowed until the
 * callback returns. Runs on the loop thread, once for each notification. */
typedef void (*mcp_notification_cb)(mcp_client_t *client, const char *method, yyjson_val *params, void *arg);

/* Sets the callback that receives notifications from the peer. It replaces an earlier one. Without a
 * callback, or with NULL, notifications are dropped. Loop thread. */
MCP_EXPORT void mcp_client_on_notification(mcp_client_t *client, mcp_notification_cb cb, void *arg);

/* Sets the trace id of all later calls by mcp_client_call() whose options have neither trace_id nor
 * parent. Use it in programs that begin a trace. trace_id is copied; NULL means none, the default. Returns
 * 0, or MCP_EINVAL if it is not 1 to 128 bytes of UTF-8. Loop thread. */
MCP_EXPORT int mcp_client_set_trace_id(mcp_client_t *client, const char *trace_id);

/* A progress report of a call. Everything is borrowed until the callback returns. */
typedef struct mcp_progress {
  double progress;     /* rises from one report of a call to the next */
  double total;        /* the final value of progress, or 0 if unknown */
  const char *message; /* cut at 1,024 bytes, or NULL */
} mcp_progress_t;

/* Receives a progress report of a call. Runs on the loop thread, except for mcp_sync_client_call(), where
 * it runs on the calling thread with NULL as its client. */
typedef void (*mcp_progress_cb)(mcp_client_t *client, const mcp_progress_t *progress, void *arg);

/* The options of a call. A member that is zero has its default, as have all of them if options is NULL.
 * Set members by name ({.timeout_ms = 5000}), because later versions use the reserved members. The library
 * reads the options and everything they point to, except parent, before the call is made: they need not
 * stay valid. */
typedef struct mcp_call_options {
  /* The time for connecting, handshake and response together. Default: 30,000. */
  uint64_t timeout_ms;
  /* The trace id, 1 to 128 bytes of UTF-8, otherwise the function returns MCP_EINVAL. Not together with
   * parent or span, which have their own. Default: that of mcp_client_set_trace_id(). */
  const char *trace_id;
  /* The call being served for which this call is made; borrowed. The peer receives the trace id and the span
   * of parent. If the caller of parent disconnects or cancels, or the deadline of parent passes, this call is
   * cancelled as by mcp_client_cancel(). Once the handler has ended parent, this call continues
   * independently: callbacks that run after that must not use parent. */
  mcp_call_t *parent;
  /* Receives progress reports, which the client requests by _meta.progressToken. It runs after the function
   * that makes the call has returned, and before the call ends. Reports whose progress does not rise are
   * dropped. Default: NULL, no reports are requested. */
  mcp_progress_cb progress_cb;
  void *progress_arg; /* passed to progress_cb; borrowed */
  /* The variable that receives the id for mcp_client_cancel(), before the function returns. Ids begin at 1
   * and are never reused. Default: NULL. */
  uint64_t *id;
  /* The span of the call being served for which this call is made, if that call has ended, or is served on
   * another thread: the peer receives its trace id and span, and nothing else connects the two calls. Not
   * together with trace_id or parent. A span that was not filled by mcp_call_span() must have its form,
   * otherwise the function returns MCP_EINVAL. Default: NULL. */
  const mcp_span_t *span;
  const void *reserved[3]; /* must be zero, otherwise the function returns MCP_EINVAL */
} mcp_call_options_t;

/* Calls a tool. args is a document whose root is the object of arguments; it is stolen. NULL means no
 * arguments. options may be NULL. A parent in the options must be served on the loop of this client, and
 * its tool must not be MCP_TOOL_BLOCKING (see mcp_sync_client_call()).
 *
 * Returns 0, and cb runs exactly once. On failure returns a code, and cb never runs: a handler must then end
 * the parent itself.
 * - MCP_ELIMIT: 1,024 calls or 16 MiB wait for a connection, or 16 MiB wait to be sent.
 * - MCP_ETOOBIG: the request is larger than the message limit of the client.
 * - MCP_ECLOSED: the client is closed or closing.
 * - MCP_EENCODE: args or the name of the tool cannot be encoded as JSON.
 * - MCP_EINVAL: the options are invalid.
 * - MCP_ENOMEM: not enough memory.
 * - MCP_ECANCELED: the parent is cancelled (see mcp_call_cancelled()).
 * - MCP_ESTATE: the tool of the parent is MCP_TOOL_BLOCKING.
 *
 * cb receives a result with status 0, a JSON-RPC error of the peer, or one of these:
 * - MCP_ETIMEOUT: no response within timeout_ms. If the call was sent, the peer receives
 *   notifications/cancelled and may have served the call.
 * - MCP_EDISCONNECTED: the connection was lost after the call was sent; the peer may have served the call.
 * - MCP_EBUSY: the peer closed the connection with 1013, because its memory is used up, after the call was
 *   sent; the peer may have served the call.
 * - MCP_ECLOSED: the client was closed.
 * - MCP_ECANCELED: the call was cancelled by mcp_client_cancel() or with its parent.
 * - MCP_ERESOLVE, MCP_ECONNECT, MCP_ETLS, MCP_EUPGRADE, MCP_EREFUSED: the client could not connect.
 * - MCP_EPROTOCOL: the peer violated the protocol, or the response is invalid.
 * - MCP_ETOOBIG: the response is larger than the message limit of the client.
 * - MCP_ENOMEM: not enough memory for the response.
 *
 * Loop thread. */
MCP_EXPORT int mcp_client_call(mcp_client_t *client, const char *tool, yyjson_mut_doc *args,
                               const mcp_call_options_t *options, mcp_result_cb cb, void *arg);

/* Calls a tool with arguments that are JSON text, otherwise like mcp_client_call().
 *
 * args has args_len bytes and is borrowed until the function returns; NULL with 0 means no arguments. If it
 * is not valid JSON, the function returns MCP_EENCODE, and mcp_last_error() has the reason. Loop thread. */
MCP_EXPORT int mcp_client_call_text(mcp_client_t *client, const char *tool, const char *args, size_t args_len,
                                    const mcp_call_options_t *options, mcp_result_cb cb, void *arg);

/* Sends a request of any method, such as "tools/list" or "ping". The value that cb receives is the whole
 * result.
 *
 * params is a document; it is stolen. NULL means no params. options may be NULL, as for mcp_client_call().
 * A trace id is sent only if the options have trace_id, parent or span. The client sends it, and the token of
 * progress_cb, in params._meta, where they replace members of the same names; params must then be an object,
 * otherwise the function returns MCP_EINVAL.
 *
 * Returns 0, and cb runs exactly once. On failure returns a code, and cb never runs. The function and cb have
 * the codes of mcp_client_call(). Loop thread. */
MCP_EXPORT int mcp_client_request(mcp_client_t *client, const char *method, yyjson_mut_doc *params,
                                  const mcp_call_options_t *options, mcp_result_cb cb, void *arg);

/* Sends a request with params that are JSON text, otherwise like mcp_client_request().
 *
 * params has params_len bytes and is borrowed until the function returns; NULL with 0 means no params. If it
 * is not valid JSON, the function returns MCP_EENCODE, and mcp_last_error() has the reason. Loop thread. */
MCP_EXPORT int mcp_client_request_text(mcp_client_t *client, const char *method, const char *params,
                                       size_t params_len, const mcp_call_options_t *options, mcp_result_cb cb,
                                       void *arg);

/* Requests tools/list, page by page. The value that cb receives is one array of all tools. With MCP
 * 2026-07-28 over HTTP, it lacks the tools whose x-mcp-header is invalid; the log has a warning for each.
 *
 * options may be NULL. They apply to all pages together, but progress_cb is ignored. The id is that of the
 * request for the first page.
 *
 * Returns 0, and cb runs exactly once. On failure returns a code of mcp_client_call(), and cb never runs. cb
 * receives the codes of mcp_client_call(); two of them have more causes:
 * - MCP_EPROTOCOL: the result is not a list, or the list does not end: it has more than 1,000 pages, or the
 *   nextCursor of a page is its own cursor.
 * - MCP_ETOOBIG: the list takes more than 64 MiB of memory.
 *
 * Loop thread. */
MCP_EXPORT int mcp_client_list_tools(mcp_client_t *client, const mcp_call_options_t *options,
                                     mcp_result_cb cb, void *arg);

/* Cancels a call or request. Its callback runs later, once, with MCP_ECANCELED. If the call was sent, the
 * peer receives notifications/cancelled and may have served the call.
 *
 * id is the one that the options of the call received. Returns 0; on failure nothing changes:
 * - MCP_ESTATE: the call has ended, or its callback is due already.
 * - MCP_ECLOSED: the client is closed or closing.
 *
 * Loop thread. */
MCP_EXPORT int mcp_client_cancel(mcp_client_t *client, uint64_t id);

/* Closes the client: fails the calls that still wait with MCP_ECLOSED, closes the connection, then calls
 * cb once. cb may be NULL, and may free the client. Returns 0; on failure cb never runs:
 * - MCP_ESTATE: the client is closed or closing already.
 * - MCP_ENOMEM: not enough memory. The client was never used, and you can free it.
 *
 * Loop thread. */
MCP_EXPORT int mcp_client_close(mcp_client_t *client, mcp_client_cb cb, void *arg);

/* Frees a client that was never used, or that is closed: in the callback of mcp_client_close() or later. A
 * client that is in use is not freed, and the log has an error. client may be NULL. Loop thread. */
MCP_EXPORT void mcp_client_free(mcp_client_t *client);

/* ---- Blocking client ------------------------------------------------------------------------------- */

/* A blocking client, for programs without a loop and for handlers of MCP_TOOL_BLOCKING tools. Created by
 * mcp_sync_client_new(). */
typedef struct mcp_sync_client mcp_sync_client_t;

/* Creates a blocking client. It connects with the first call, and the connection stays open for the next
 * one. url is as for mcp_client_new(). Returns the client, which you free by mcp_sync_client_free().
 * Returns NULL if url is not a valid address or memory is exhausted; mcp_last_error() has the reason. Any
 * thread. */
MCP_EXPORT mcp_sync_client_t *mcp_sync_client_new(const char *url);

/* Calls a tool and blocks until the response arrives. args is a document whose root is the object of
 * arguments; it is stolen. NULL means no arguments. options may be NULL; they are as for
 * mcp_client_call(), but id is ignored.
 *
 * Returns 0, and *result receives the value of mcp_result_t. On failure returns a code, mcp_last_error()
 * has the message, and *result receives the value that came with the error, or NULL. Free *result by
 * yyjson_doc_free(). The codes are those that mcp_client_call() returns, those that its cb receives, and:
 * - MCP_TOOL_ERROR: the result has isError.
 * - MCP_EENV: ICCM_AUTH_TOKEN is invalid.
 * - MCP_EINVAL: the options, or the file ICCM_TLS_CA, are invalid.
 *
 * If the peer is unavailable, the call fails at once. If the connection was lost since the last call, the
 * client opens a new one. A call that was sent before the client noticed the loss fails with
 * MCP_EDISCONNECTED, and the peer may have served it. progress_cb runs on the calling thread, with NULL as
 * its client.
 *
 * Without a parent in the options:
 * - Any thread, except one that runs a loop, because the loop would block; one call of a client at a time.
 * - The connection is used only during a call. A peer that sends pings may close it in between.
 * - A message has at most 16 MiB.
 * - A name lookup that has begun may exceed timeout_ms: the system's resolver has its own limits.
 *
 * With a parent in the options, whose tool must be MCP_TOOL_BLOCKING (otherwise MCP_ESTATE):
 * - Pool thread; any number of calls of a client at a time. The loop that serves parent must run during the
 *   call.
 * - MCP_ECANCELED also means that the server of parent is stopping and its shutdown timeout has passed.
 * - Of the reports that arrive while progress_cb runs, it receives only the newest.
 * - The server's loop holds the connection, one for each url, which all handlers share. It responds to
 *   pings, and it closes the connection when the server stops. The stop waits for a name lookup that has
 *   begun.
 * - A server holds connections to the first 16 urls. A call to another url connects each time, and ends
 *   within 50 ms of a cancellation.
 * - A message has at most 16 MiB, or the message limit of parent's server if that is larger. */
MCP_EXPORT int mcp_sync_client_call(mcp_sync_client_t *client, const char *tool, yyjson_mut_doc *args,
                                    const mcp_call_options_t *options, yyjson_doc **result);

/* Closes the connection, which takes up to 1 s, and frees the client. client may be NULL. The client must not
 * be used during this call or later. A blocking handler can run longer than its server (MCP_ETIMEOUT of
 * mcp_server_run()); never free a client that such a handler may use. Any thread, except one that runs a
 * loop. */
MCP_EXPORT void mcp_sync_client_free(mcp_sync_client_t *client);

/* ---- Tests ------------------------------------------------------------------------------------------ */

/* Calls a tool of a server in this process and blocks until it responds, for tests of tools. No port is
 * opened. The server must not be started; it can be started, or called again, afterwards. Arguments are
 * validated and the handler runs as in a running server; a blocking handler runs on a pool thread. Timers
 * do not run, and no log line is sent to Godot.
 *
 * args is a document whose root is the object of arguments; it is stolen. NULL means no arguments. Returns
 * 0, and *result receives the value of mcp_result_t. On failure returns a code, mcp_last_error() has the
 * message, and *result receives the value that came with the error, or NULL. Free *result by
 * yyjson_doc_free().
 * - MCP_TOOL_ERROR: the tool failed, or its result has isError.
 * - MCP_ESTATE: the server is started.
 * - MCP_EENCODE: args cannot be encoded as JSON.
 * - MCP_ENOMEM: not enough memory.
 * - Another JSON-RPC error, such as MCP_INVALID_PARAMS.
 *
 * Any thread, except one that runs a loop. */
MCP_EXPORT int mcp_server_test_call(mcp_server_t *server, const char *tool, yyjson_mut_doc *args,
                                    yyjson_doc **result);

#ifdef __cplusplus
}
#endif
#endif
