/* raw_program.h: a program on standard input and output with blocking calls and access to details that the
 * library's client hides: text that is no message, the end of its standard error, its own end. */
#ifndef ICCM_CLI_RAW_PROGRAM_H
#define ICCM_CLI_RAW_PROGRAM_H

#include "base/excerpt.h"
#include "client/outgoing.h"
#include "transport/program.h"
#include "raw_conn.h"

enum { RAW_PROGRAM_TAIL = 512, RAW_PROGRAM_END_SIZE = 320 };

typedef struct raw_program {
  net_t *net;
  mcp__program_t *program; /* NULL: it has no handles */
  uv_pipe_t errors;        /* its standard error */
  unsigned open_parts;     /* program, errors */
  int start_status;        /* a libuv error: it was not started */
  bool ended;              /* it ended, or closed a stream: see raw_program_describe_end() */
  bool errors_ended;
  char problem[256];           /* the end, as the library describes it */
  char tail[RAW_PROGRAM_TAIL]; /* the last bytes of its standard error */
  size_t tail_len;
  size_t text_count;            /* lines of its output that are no messages … */
  char text[MCP__EXCERPT_SIZE]; /* … and the beginning of the first */
  int64_t last_id;
  bool response_without_id; /* the last line sent has no id, so its response has none */
  yyjson_doc *response;     /* owned: for the last request; NULL: none */
} raw_program_t;

/* Starts argv[0], found in PATH, with the arguments up to NULL; start_status shows the result. The caller
 * calls raw_program_free(), before the end of the net. */
raw_program_t *raw_program_start(net_t *net, char **argv);
/* Ends it by signals, within MCP__PROGRAM_KILL_MS. NULL is allowed. */
void raw_program_free(raw_program_t *program);

/* Sends a request and waits for its response, which is then in program->response. */
bool raw_program_request(raw_program_t *program, mcp__era_t era, const char *method, const char *params,
                         uint64_t limit_ms);
/* Sends a line, and waits for a response without an id. */
bool raw_program_send_bad_line(raw_program_t *program, const char *line, uint64_t limit_ms);
/* Sends a line that has no response. */
void raw_program_send_line(raw_program_t *program, const char *line);
/* Closes its input, and waits until it ends. */
bool raw_program_end_input(raw_program_t *program, uint64_t limit_ms);

/* Describes its end, with the last line of its standard error. */
void raw_program_describe_end(raw_program_t *program, char text[RAW_PROGRAM_END_SIZE]);

#endif
