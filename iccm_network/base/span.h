/* span.h: ids of calls within a trace, 64 bits as 16 hexadecimal digits (W3C Trace Context, parent-id). */
#ifndef MCP_SPAN_H
#define MCP_SPAN_H

#include <stdint.h>

enum {
  MCP__SPAN_SIZE = 17,      /* with the NUL */
  MCP__TRACE_ID_BYTES = 128 /* of a trace id, at most */
};

uint64_t mcp__span_new(void); /* never 0; any thread; costs no system call but the first */
/* Where a call stands. Texts are borrowed. */
typedef struct mcp__trace {
  const char *id;             /* NULL: none */
  uint64_t span;              /* the call itself, … */
  const char *parent_span_id; /* … and what it was made for; NULL: unknown */
} mcp__trace_t;

void mcp__span_write(uint64_t span, char text[MCP__SPAN_SIZE]);

#endif
