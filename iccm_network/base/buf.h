/* buf.h: a byte buffer with a maximum size. */
#ifndef MCP_BUF_H
#define MCP_BUF_H

#include "base/mem.h"

#include <string.h>

/* A callback that is asked before a buffer grows beyond MCP__BUF_QUOTA_FROM_BYTES. Smaller buffers are
 * exempt, so that ordinary messages still get through when large ones have used up the memory. */
enum { MCP__BUF_QUOTA_FROM_BYTES = 64 * 1024 };
typedef struct mcp__buf_quota {
  bool (*has_room)(size_t more, void *arg); /* whether more bytes may be allocated */
  void *arg;
} mcp__buf_quota_t;

typedef struct mcp__buf {
  char *data; /* owned; NULL while cap is 0 */
  size_t len, cap;
  size_t max;                    /* len never exceeds it */
  const mcp__buf_quota_t *quota; /* borrowed; may be NULL */
  bool wipe;                     /* memory is wiped before it is freed */
} mcp__buf_t;

void mcp__buf_init(mcp__buf_t *buf, size_t max, const mcp__buf_quota_t *quota);
void mcp__buf_deinit(mcp__buf_t *buf); /* empty and usable afterwards */

/* The part of mcp__buf_reserve() that allocates. */
int mcp__buf_grow(mcp__buf_t *buf, size_t extra);

/* Reserves space for extra bytes after len. 0, MCP_ETOOBIG (the maximum), MCP_ELIMIT (the quota) or
 * UV_ENOMEM; unchanged on failure. */
static inline int mcp__buf_reserve(mcp__buf_t *buf, size_t extra) {
  return extra <= buf->cap - buf->len ? 0 : mcp__buf_grow(buf, extra);
}

/* Inline, like mcp__buf_puts(): a literal then costs a few stores. */
static inline int mcp__buf_append(mcp__buf_t *buf, const void *data, size_t len) {
  int status = mcp__buf_reserve(buf, len);
  if (status == 0 && len > 0) {
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
  }
  return status;
}

static inline int mcp__buf_puts(mcp__buf_t *buf, const char *text) {
  return mcp__buf_append(buf, text, strlen(text));
}

int mcp__buf_printf(mcp__buf_t *buf, const char *format, ...) MCP_PRINTF(2, 3);

/* Appends count / 1000 with three decimals and a decimal point in every locale. */
int mcp__buf_thousandths(mcp__buf_t *buf, uint64_t count);

/* Returns the first error of two steps. A text can be built from many steps and checked once: the caller
 * discards the buffer on an error. */
static inline int mcp__buf_first_error(int before, int after) {
  return before != 0 ? before : after;
}

/* Appends text, which must be valid UTF-8, as a quoted JSON string. */
int mcp__buf_json_string(mcp__buf_t *buf, const char *text, size_t len);

void mcp__buf_consume(mcp__buf_t *buf, size_t len); /* removes the first len bytes */
void mcp__buf_clear(mcp__buf_t *buf, size_t keep);  /* sets len to 0; frees the memory if cap exceeds keep */
void mcp__buf_swap(mcp__buf_t *a, mcp__buf_t *b);   /* swaps contents and capacities only */

#endif
