/* iccm_service.h: helpers for services: settings from the environment, a command line, a loop that a signal
 * stops, times and ids, files whose paths come from callers, and text from other programs. You need none of
 * them to serve or to call tools. They are in the same library as iccm_network.h; the terms and conventions
 * of that header apply here, too.
 */
#ifndef ICCM_SERVICE_H
#define ICCM_SERVICE_H

#include <iccm_network.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Environment ------------------------------------------------------------------------------------
 * These functions read settings of your program. A variable that is unset or empty has its default. If one
 * of them returns MCP_EENV, end the program: the log has a line that names the variable, its value and the
 * allowed values. */

/* Reads a whole number from an environment variable: decimal digits, after a minus sign if the number
 * is negative.
 *
 * *out receives the number, or fallback if the variable is unset or empty. min and max are the smallest
 * and the largest number allowed. Returns 0, or MCP_EENV if the value is not a number from min to max;
 * *out then does not change, and the log has one error. Any thread, while no thread changes the
 * environment. */
MCP_EXPORT int mcp_env_int(const char *name, int64_t fallback, int64_t min, int64_t max, int64_t *out);

/* Reads a boolean from an environment variable: 0, 1, true, false, yes, no, on or off, in upper or lower
 * case.
 *
 * *out receives the boolean, or fallback if the variable is unset or empty. Returns 0, or MCP_EENV if the
 * value is none of these; *out then does not change, and the log has one error. Any thread, while no
 * thread changes the environment. */
MCP_EXPORT int mcp_env_bool(const char *name, bool fallback, bool *out);

/* Returns the text of an environment variable, or fallback if it is unset or empty. The text is borrowed
 * from the environment; fallback may be NULL. Any thread, while no thread changes the environment. */
MCP_EXPORT const char *mcp_env_text(const char *name, const char *fallback);

/* Reads a list of directories for mcp_open_beneath() from an environment variable: absolute paths,
 * separated by colons ("/a:/b c").
 *
 * *out receives the list, borrowed from the environment, or "" if the variable is unset or empty. Returns
 * 0, or MCP_EENV if an element is not an absolute path; *out then does not change, and the log has one
 * error. Any thread, while no thread changes the environment. */
MCP_EXPORT int mcp_env_directories(const char *name, const char **out);

/* Determines the path of a file that your program stores. The path is the value of the environment variable
 * name, or, if that is unset or empty, the given file name in the data directory. The data directory is
 * ICCM_DATA, default ./data; it is created if it does not exist, but not its parents.
 *
 * path receives the path and has size bytes. Returns 0, or MCP_EENV if the path does not fit or the
 * directory cannot be created; path then does not change, and the log has one error. Any thread, while no
 * thread changes the environment. */
MCP_EXPORT int mcp_env_data_path(const char *name, const char *file, char *path, size_t size);

/* Logs a warning for each environment variable whose name looks like a misspelt variable of the
 * components (ICCM_AUTH_TOKN), with the nearest valid name, but never its value. The first call in a process
 * does this; later calls do nothing. mcp_service_command_line() and mcp_server_new() call it; other programs
 * call it in main. Any thread, while no thread changes the environment. */
MCP_EXPORT void mcp_env_check(void);

/* ---- Command line and loop --------------------------------------------------------------------------- */

/* Handles the command line of a service that takes no arguments except --help (-h) and --version (-V).
 * Call it first in main. name and version are those of the program; help is the text of --help, printed
 * unchanged.
 *
 * Returns -1 if there are no arguments: continue. Otherwise returns the exit status of the program:
 * - 0: stdout has the help, or "name version".
 * - 1: writing to stdout failed; stderr has one line.
 * - 2: the arguments are invalid; stderr has one line.
 *
 * Any thread. */
MCP_EXPORT int mcp_service_command_line(int argc, char **argv, const char *name, const char *version,
                                        const char *help);

/* Runs a loop until SIGTERM or SIGINT, then calls on_stop once and continues until the loop has nothing
 * left to do. on_stop must stop everything that keeps the loop alive. A second signal ends the process at
 * once with status 128 + its number. Use it in programs that run more than one server; mcp_server_run()
 * does this for one server. loop is borrowed. on_stop runs on the calling thread.
 *
 * Returns 0 after the stop, or a system error if the signal handlers cannot be installed: the log has the
 * reason, and on_stop is called at once. The calling thread becomes the loop thread. */
MCP_EXPORT int mcp_loop_run(struct uv_loop_s *loop, void (*on_stop)(void *arg), void *arg);

/* Makes SIGHUP call mcp_server_reload_tls() until the server stops, for a service that starts its server on
 * its own loop; mcp_server_run() does this itself. Call it once after mcp_server_start(). Without TLS nothing
 * changes: SIGHUP then ends the process. Returns 0 or:
 * - MCP_ESTATE: the server is not started, or is stopping.
 * - another system error: the signal cannot be handled.
 *
 * Loop thread. */
MCP_EXPORT int mcp_server_reload_tls_on_sighup(mcp_server_t *server);

/* ---- Times and ids -----------------------------------------------------------------------------------
 * Points in time are in microseconds since 1970-01-01T00:00:00Z. */

/* The sizes of texts in bytes, including the NUL. */
enum {
  MCP_TIME_SIZE = 28, /* of mcp_time_format() */
  MCP_UUID_SIZE = 37  /* of a UUID */
};

/* Returns the current time. Any thread. */
MCP_EXPORT int64_t mcp_time_now_us(void);

/* Formats a time as ISO 8601 in UTC, with microseconds: "2026-11-21T07:24:07.123456Z". A time outside of
 * the years 0001 to 9999 is formatted as the nearest one inside. Any thread. */
MCP_EXPORT void mcp_time_format(int64_t us, char text[MCP_TIME_SIZE]);

/* A phrase for error messages: the form that mcp_time_parse() accepts. */
#define MCP_TIME_FORM "a time in ISO 8601, such as 2026-11-21T07:24:07Z or 2026-11-21"

/* Parses a time in ISO 8601, in the forms that services write:
 * - date and time are separated by T or a space;
 * - seconds are optional, and so is their fraction, of any length; digits below a microsecond are dropped;
 * - the zone is Z, an offset (+02:00, +0200, +02), or missing, which means UTC;
 * - a date alone means 00:00 of that day; 24:00 means 00:00 of the next day;
 * - a leap second (:60) means the following second.
 *
 * text has len bytes. *us receives the time. Returns 0, or MCP_EINVAL if text has another form, has a
 * day or time that does not exist, or is outside of the years 0001 to 9999; *us then does not change. Any
 * thread. */
MCP_EXPORT int mcp_time_parse(const char *text, size_t len, int64_t *us);

/* Parses a time as the inclusive end of a range: a date alone means the last microsecond of that day. In all
 * other respects it is the same as mcp_time_parse(). To delete everything that is older than a time, use
 * mcp_time_parse(): it keeps the day of a date.
 *
 * text has len bytes. *us receives the time. Returns 0, or MCP_EINVAL on the errors of mcp_time_parse();
 * *us then does not change. Any thread. */
MCP_EXPORT int mcp_time_parse_end(const char *text, size_t len, int64_t *us);

/* Creates a UUID of version 7 (RFC 9562), which sorts by time. UUIDs of one process are strictly rising,
 * on all threads together. Any thread. */
MCP_EXPORT void mcp_uuid_new(char uuid[MCP_UUID_SIZE]);

/* Parses a UUID of any version and converts it to lower case. text has len bytes. uuid receives the
 * result. Returns 0, or MCP_EINVAL if text is not a UUID; uuid then does not change. Any thread. */
MCP_EXPORT int mcp_uuid_parse(const char *text, size_t len, char uuid[MCP_UUID_SIZE]);

/* Extracts the time of a UUID of version 7, with the precision of a millisecond. *us receives it. Returns
 * 0, or MCP_EINVAL if uuid is not a UUID of version 7; *us then does not change. Any thread. */
MCP_EXPORT int mcp_uuid_time_us(const char *uuid, int64_t *us);

/* Creates the UUID of version 5 (RFC 9562) of a name: the same namespace and name always give the same
 * UUID. namespace_uuid is any UUID; name has len bytes. Returns 0 or:
 * - MCP_EINVAL: namespace_uuid is not a UUID.
 * - MCP_ENOMEM: not enough memory.
 *
 * Any thread. */
MCP_EXPORT int mcp_uuid_v5(const char *namespace_uuid, const void *name, size_t len,
                           char uuid[MCP_UUID_SIZE]);

/* ---- Files whose paths come from callers ------------------------------------------------------------
 * Opening and reading block: call these functions on a pool thread (MCP_TOOL_BLOCKING). */

/* Opens a file for reading if it is inside an allowed directory. Use it if the path comes from a caller.
 *
 * directories is a list of absolute paths, separated by colons ("/a:/b c"); "" allows none. path has len
 * bytes; it must be absolute and begin with one of the directories, and neither ".." nor a symbolic link may
 * leave that directory. Links that stay inside are followed if the kernel has openat2(2); otherwise no links
 * are followed.
 *
 * Returns a file descriptor (close-on-exec), which you close. On failure returns a code:
 * - MCP_EPATH: the path is not inside an allowed directory. This does not reveal whether the file exists.
 * - MCP_ENOTREGULAR: the path is a directory, FIFO or device.
 * - MCP_EAGAIN: another process holds a lease on the file.
 * - MCP_ENOENT, MCP_EACCES or another system error, as of open(2).
 *
 * Any thread. */
MCP_EXPORT int mcp_open_beneath(const char *directories, const char *path, size_t len);

/* A reader of the JSON objects in a file, one at a time: those of a JSON array, or those that follow each
 * other, as in JSON Lines. It accepts at most 200 MiB of a file and 1,000,000 objects, each of at most 16
 * MiB and 56 levels. It holds one object in memory at a time. Created by mcp_json_reader_new(). Any thread,
 * one at a time. */
typedef struct mcp_json_reader mcp_json_reader_t;

/* Creates a reader of a file. fd is a file descriptor, which is stolen; the reader begins at its current
 * position. Returns the reader, which you free by mcp_json_reader_free(), or NULL if memory is exhausted;
 * fd is then closed. Any thread. */
MCP_EXPORT mcp_json_reader_t *mcp_json_reader_new(int fd);

/* Returns the next object of the file. Returns NULL at the end of the file or on an error, and at each later
 * call. mcp_json_reader_error() tells whether there was an error.
 *
 * text and len may both be NULL. Otherwise *text receives the object as written in the file, and *len its
 * length in bytes. The object and its text are borrowed until the next call of the reader. In both, NUL and
 * halves of surrogate pairs, which not every database can store, are replaced by U+FFFD. Any thread, one at a
 * time. */
MCP_EXPORT yyjson_val *mcp_json_reader_next(mcp_json_reader_t *reader, const char **text, size_t *len);

/* Returns the error that ended the reading, as a message for the caller ("entry 3, line 4, is not valid JSON:
 * ..."). Returns NULL if there was no error so far. Borrowed until the reader is freed. Any thread, one at a
 * time. */
MCP_EXPORT const char *mcp_json_reader_error(const mcp_json_reader_t *reader);

/* Frees a reader and closes its file. reader may be NULL. Any thread, one at a time. */
MCP_EXPORT void mcp_json_reader_free(mcp_json_reader_t *reader);

/* ---- Text --------------------------------------------------------------------------------------------- */

/* A borrowed text with its length, for your own functions: no function of these headers uses it. */
typedef struct mcp_text {
  const char *ptr; /* the first byte, or NULL if there is no text */
  size_t len;      /* the length in bytes */
} mcp_text_t;

/* ---- Text of other programs -------------------------------------------------------------------------- */

/* Returns the length of the byte order mark at the beginning of a text: 3 if the text begins with EF BB
 * BF, as some programs write in front of UTF-8, otherwise 0. text has len bytes. Any thread. */
MCP_EXPORT size_t mcp_bom_length(const char *text, size_t len);

/* Replaces the secrets in a JSON value by "[REDACTED]", with the rules of mcp_log_data(). Use it to
 * forward log lines of other programs. value may be NULL. Arrays and objects below level 64 are replaced
 * entirely. Returns the number of secrets replaced, without those that were "[REDACTED]" already. Any
 * thread, while no other thread uses the value. */
MCP_EXPORT size_t mcp_redact(yyjson_mut_val *value);

/* The size in bytes, including the NUL, of the text of mcp_redact_setting(). */
enum { MCP_SHOWN_SIZE = 201 };

/* Copies a URL or the value of a setting to shown without its secrets, cut at 200 bytes. name is the name of
 * the setting, or NULL. "[REDACTED]" replaces
 * - everything before an @ (or %40), which may be a user name and a password;
 * - the query and the fragment;
 * - all text after "key=" if key is the name of a secret (see mcp_log_data());
 * - the whole value if it contains a private key in PEM, or if name is the name of a secret.
 *
 * In a path, which begins with / or ., the characters @, ? and # have no meaning. Returns shown. Any thread.
 */
MCP_EXPORT const char *mcp_redact_setting(const char *name, const char *value, char shown[MCP_SHOWN_SIZE]);

/* The size in bytes, including the NUL, of the text of mcp_printable_next(). */
enum { MCP_PRINTABLE_SIZE = 8 };

/* Converts the first character of a text from another program to a form that is safe to show on a terminal,
 * as the log and iccm do. Call it repeatedly to convert a whole text.
 *
 * text has len bytes, at least 1. shown receives the character, or an escape (\n, \u009b, \xff) for
 * control characters (C0, DEL, C1), for marks that reorder text or end its line, and for bytes that are
 * not UTF-8. Returns the number of bytes of text that were converted. Any thread. */
MCP_EXPORT size_t mcp_printable_next(const char *text, size_t len, char shown[MCP_PRINTABLE_SIZE]);

#ifdef __cplusplus
}
#endif
#endif
