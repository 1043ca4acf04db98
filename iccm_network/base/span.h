/* span.h: ids of calls within a trace: 64 bits, written as 16 hexadecimal digits (W3C Trace Context,
 * parent-id). */
#ifndef MCP_SPAN_H
#define MCP_SPAN_H

#include <stdbool.h>
#include <stdint.h>

enum {
  MCP__SPAN_SIZE = 17,      /* with the NUL */
  MCP__TRACE_ID_BYTES = 128 /* maximum length of a trace id */
};

uint64_t mcp__span_new(void); /* never 0; any thread; only the first call makes a system call */
/* The position of a call in its trace. Texts are borrowed. */
typedef struct mcp__trace {
  const char *id;             /* NULL: none */
  uint64_t span;              /* span id of the call itself */
  const char *parent_span_id; /* span id of the call's parent; NULL: unknown */
} mcp__trace_t;

void mcp__span_write(uint64_t span, char text[MCP__SPAN_SIZE]);
/* Reads what mcp__span_write() wrote, or "", which is 0. False: text is something else. */
bool mcp__span_read(const char text[MCP__SPAN_SIZE], uint64_t *span);

#endif
