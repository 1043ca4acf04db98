/* iccm_service.h: what services need beside MCP: settings from the environment, a command line, a loop that
 * ends with a signal, times and ids, files that callers name, and text of other programs made safe. None of
 * it is needed to serve or to call tools. It is in the same library as iccm_network.h, whose conventions hold
 * here, too.
 */
#ifndef ICCM_SERVICE_H
#define ICCM_SERVICE_H

#include <iccm_network.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Environment ------------------------------------------------------------------------------------
 * For a component's own settings. Unset or empty means fallback. A value that cannot be read, or lies
 * outside of min to max, gives MCP_EENV, leaves *out alone and logs one line that names variable, value and
 * what is allowed: end the program then. */
MCP_EXPORT int mcp_env_int(const char *name, int64_t fallback, int64_t min, int64_t max, int64_t *out);
/* 0, 1, true, false, yes, no, on, off, in upper or lower case. */
MCP_EXPORT int mcp_env_bool(const char *name, bool fallback, bool *out);
/* Borrowed from the environment. */
MCP_EXPORT const char *mcp_env_text(const char *name, const char *fallback);
/* Directories for mcp_open_beneath(), "/a:/b c", absolute each; unset or empty: "", none. Borrowed. */
MCP_EXPORT int mcp_env_directories(const char *name, const char **out);
/* Where a component keeps something: the variable's value, or else the file of this name in the data
 * directory, ICCM_DATA (./data), which is made where it is missing. Written to path, of size bytes. MCP_EENV,
 * with path left alone: it does not fit, or the directory cannot be made. */
MCP_EXPORT int mcp_env_data_path(const char *name, const char *file, char *path, size_t size);
/* Logs a warning for each variable of the environment that looks like a misspelt one of this system
 * (ICCM_AUTH_TOKN), with the nearest that exists; never its value. Once in a process: later calls do nothing.
 * mcp_service_command_line() and mcp_server_new() call it; other programs do so in main. Any thread, while
 * none changes the environment. */
MCP_EXPORT void mcp_env_check(void);

/* ---- Command line and loop --------------------------------------------------------------------------- */

/* The command line of a service, which takes no arguments but --help (-h) and --version (-V): first in main.
 * -1: there are none, go on. Else the status to end with: 0, help as it stands or "name version" is on
 * stdout; 2, the arguments are others, and one line on stderr says so; 1, stdout takes nothing. */
MCP_EXPORT int mcp_service_command_line(int argc, char **argv, const char *name, const char *version,
                                        const char *help);

/* Runs a loop until SIGTERM or SIGINT, then calls on_stop once and goes on until the loop has nothing left to
 * do; on_stop has to see to that. A second signal ends the process at once with 128 + its number. For
 * programs that hold more than one server: mcp_server_run() is this around one. 0, or the system's code,
 * which the log says, too. */
MCP_EXPORT int mcp_loop_run(struct uv_loop_s *loop, void (*on_stop)(void *arg), void *arg);

/* ---- Times and ids -----------------------------------------------------------------------------------
 * Any thread. Points in time are microseconds since 1970-01-01T00:00:00Z. */

enum { MCP_TIME_SIZE = 28, MCP_UUID_SIZE = 37 }; /* with the NUL */

MCP_EXPORT int64_t mcp_time_now_us(void);                              /* the time of this moment */
MCP_EXPORT void mcp_time_format(int64_t us, char text[MCP_TIME_SIZE]); /* "2026-11-21T07:24:07.123456Z" */

/* Reads ISO 8601 as services write it: date and time parted by T or blank, with seconds or without, with a
 * fraction of any length or none, with Z, an offset (+02:00, +0200, +02) or neither (UTC); a date alone is
 * its midnight, 24:00 that of the next day, a leap second (:60) the second behind it. MCP_EINVAL otherwise,
 * also for days and hours that do not exist. MCP_TIME_FORM is for the words about that. */
#define MCP_TIME_FORM "a time in ISO 8601, such as 2026-11-21T07:24:07Z or 2026-11-21"
MCP_EXPORT int mcp_time_parse(const char *text, size_t len, int64_t *us);
/* The same where the text is the last moment of a range: a date alone is meant to its end, the day's last
 * microsecond. What deletes all that is older than a time takes mcp_time_parse(), which spares that day. */
MCP_EXPORT int mcp_time_parse_end(const char *text, size_t len, int64_t *us);

/* Version 7 (RFC 9562): sorts by time, rising within this process. */
MCP_EXPORT void mcp_uuid_new(char uuid[MCP_UUID_SIZE]);
/* Any version, to lower case; MCP_EINVAL. */
MCP_EXPORT int mcp_uuid_parse(const char *text, size_t len, char uuid[MCP_UUID_SIZE]);
/* The time inside a version 7; MCP_EINVAL for any other. */
MCP_EXPORT int mcp_uuid_time_us(const char *uuid, int64_t *us);
/* Version 5: the same namespace (a UUID) and name give the same id. MCP_EINVAL where space is no UUID. */
MCP_EXPORT int mcp_uuid_v5(const char *space, const void *name, size_t len, char uuid[MCP_UUID_SIZE]);

/* ---- Files that callers name ------------------------------------------------------------------------
 * Any thread; but opening and reading block, so that they belong on the pool (MCP_TOOL_BLOCKING). */

/* Opens a file for reading whose path, absolute, comes from a caller: only where it begins with one of the
 * directories, "/a:/b c" ("": none), and does not leave it, by ".." or by a link; links that stay below are
 * followed where the kernel has openat2(2), else none is. A descriptor (close-on-exec) that the caller
 * closes, or MCP_EPATH, which says nothing about whether there is such a file; MCP_ENOTREGULAR: a directory,
 * fifo or device; MCP_EAGAIN: another process holds a lease on the file; or the system's code, as of open(2):
 * MCP_ENOENT, MCP_EACCES, … */
MCP_EXPORT int mcp_open_beneath(const char *directories, const char *path, size_t len);

/* The entries of a file, objects each, one at a time: of a JSON array, or of values that follow each other,
 * as JSON Lines do. At most 200 MiB of a file and 1,000,000 entries, of 16 MiB and 56 levels each; memory is
 * taken for one entry. One thread at a time. */
typedef struct mcp_json_reader mcp_json_reader_t;

/* Reads from a descriptor, which is stolen, from where it stands. NULL: no memory. */
MCP_EXPORT mcp_json_reader_t *mcp_json_reader_new(int file);

/* The next entry; text, unless NULL, is how it stands in the file, of *len bytes. Both are borrowed until the
 * next call. In both NUL and halves of surrogate pairs, which not every store can hold, are U+FFFD. NULL:
 * there is none, now and ever after; mcp_json_reader_error() says whether that is all. */
MCP_EXPORT yyjson_val *mcp_json_reader_next(mcp_json_reader_t *entries, const char **text, size_t *len);

/* Why no more entries come, in words for whoever named the file ("entry 3, line 4, is no valid JSON: …");
 * NULL: the file was read to its end, or there is more. Borrowed. */
MCP_EXPORT const char *mcp_json_reader_error(const mcp_json_reader_t *entries);

/* Closes the file, too. NULL is fine. */
MCP_EXPORT void mcp_json_reader_free(mcp_json_reader_t *entries);

/* ---- Text --------------------------------------------------------------------------------------------- */

/* A text with its length, which belongs to somebody else; ptr is NULL where there is none. */
typedef struct mcp_text {
  const char *ptr;
  size_t len;
} mcp_text_t;

/* ---- Text of other programs -------------------------------------------------------------------------- */

/* Where a text begins: 3 behind the byte order mark (EF BB BF) that some programs write in front of UTF-8,
 * else 0. Any thread. */
MCP_EXPORT size_t mcp_bom_length(const char *text, size_t len);

/* Takes the secrets that mcp_log_data() takes out of a value, for a program that passes on what others log:
 * how many there were, without those that are "[REDACTED]" already. NULL: none. Arrays and objects below
 * level 64 are replaced as a whole. Any thread. */
MCP_EXPORT size_t mcp_redact(yyjson_mut_val *value);

/* Writes to shown an address or the value of a setting as it may be shown and logged, cut to 200 bytes:
 * returns shown. "[REDACTED]" replaces all in front of an @ (or %40), which may be a user's name and
 * password; the query and the fragment; what follows name= where that is a secret's name; and all of a value
 * with a private key in PEM, or of a setting whose name (NULL: it has none) is a secret's, as for
 * mcp_log_data(). Paths, which begin with / or ., keep @, ? and #. Any thread. */
enum { MCP_SHOWN_SIZE = 201 };
MCP_EXPORT const char *mcp_redact_setting(const char *name, const char *value, char shown[MCP_SHOWN_SIZE]);

/* Makes text from elsewhere safe to be shown to people, as the log and iccm do. Takes one character off the
 * len (at least 1) bytes of text and answers how many of them that was; shown is what to print instead, ended
 * by NUL: the character, or for control characters (C0, DEL, C1), marks that reorder text or end its line,
 * and bytes that are no UTF-8 an escape: \n, \u009b, \xff. Any thread. */
enum { MCP_PRINTABLE_SIZE = 8 };
MCP_EXPORT size_t mcp_printable_next(const char *text, size_t len, char shown[MCP_PRINTABLE_SIZE]);

#ifdef __cplusplus
}
#endif
#endif
