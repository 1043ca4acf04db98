/* buf.h: bytes that grow up to a maximum. */
#ifndef MCP_BUF_H
#define MCP_BUF_H

#include "base/mem.h"

/* Asked before a buffer grows and is large then. Small ones need nobody's leave: when large messages have
 * taken all memory, ordinary ones still get through. */
enum { MCP__BUF_QUOTA_FROM_BYTES = 64 * 1024 };
typedef struct mcp__buf_quota {
  bool (*has_room)(size_t more, void *arg); /* for so many more bytes */
  void *arg;
} mcp__buf_quota_t;

typedef struct mcp__buf {
  char *data; /* owned; NULL while cap is 0 */
  size_t len, cap;
  size_t max;                    /* len never exceeds it */
  const mcp__buf_quota_t *quota; /* borrowed; may be NULL */
  bool wipe;                     /* memory is wiped before it is given back */
} mcp__buf_t;

void mcp__buf_init(mcp__buf_t *buf, size_t max, const mcp__buf_quota_t *quota);
void mcp__buf_deinit(mcp__buf_t *buf); /* empty and usable afterwards */

/* Room for extra bytes behind len: 0, MCP_ETOOBIG (the maximum), MCP_ELIMIT (the quota) or UV_ENOMEM;
 * unchanged on failure. */
int mcp__buf_reserve(mcp__buf_t *buf, size_t extra);
int mcp__buf_append(mcp__buf_t *buf, const void *data, size_t len);
int mcp__buf_puts(mcp__buf_t *buf, const char *text);
int mcp__buf_printf(mcp__buf_t *buf, const char *format, ...) MCP_PRINTF(2, 3);

/* Appends count / 1000 with three decimals and a point, whatever the locale of the program writes there. */
int mcp__buf_thousandths(mcp__buf_t *buf, uint64_t count);

/* Of two steps the first one's failure: a text may be put together without looking at each step, since what
 * was appended after a failure is thrown away with the rest. */
static inline int mcp__buf_first_error(int before, int after) {
  return before != 0 ? before : after;
}

/* Appends text as a JSON string in quotes; text has to be valid UTF-8. */
int mcp__buf_json_string(mcp__buf_t *buf, const char *text, size_t len);

void mcp__buf_consume(mcp__buf_t *buf, size_t len); /* drops the first len bytes */
void mcp__buf_clear(mcp__buf_t *buf, size_t keep);  /* len 0; gives the memory back where cap is over keep */
void mcp__buf_swap(mcp__buf_t *a, mcp__buf_t *b);   /* contents and capacities; all else stays */

#endif
