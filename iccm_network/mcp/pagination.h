/* pagination.h: a list that is given out page by page, while its entries come and go; pure.
 *
 * Entries stand in the order of their numbers, which rise and are never used again. A cursor is the number of
 * the last entry that its holder has seen: the next page begins behind it, whatever has come or gone
 * meanwhile. */
#ifndef MCP_PAGINATION_H
#define MCP_PAGINATION_H

#include "base/buf.h"

/* What the entries of a page take together, unless it is a single one: many clients close at 1 MiB. */
enum { MCP__PAGES_MAX_BYTES = 900 << 10 };

typedef struct mcp__page_entry {
  uint64_t number;
  size_t begin;    /* of its text */
  size_t page_end; /* of the page that it begins: the entry that is not on it any more */
} mcp__page_entry_t;

typedef struct mcp__pages {
  mcp__buf_t text; /* of all entries, with commas between them: each page is a piece of it */
  mcp__page_entry_t *entries;
  size_t count;
  uint64_t last_cursor; /* the highest that a page of these may name; 0: there is only one page */
} mcp__pages_t;

typedef struct mcp__page {
  const char *text; /* borrowed; not ended by NUL */
  size_t len;
  uint64_t next; /* the next one's cursor; 0: this is the last */
} mcp__page_t;

int mcp__pages_init(mcp__pages_t *pages, size_t capacity); /* 0 or UV_ENOMEM, with nothing to deinit */
void mcp__pages_deinit(mcp__pages_t *pages);               /* a zeroed one is fine */

/* Entries are added in the order of their numbers, from 1 on, at most capacity: begun, then put into
 * pages->text by the caller. 0 or UV_ENOMEM. After the last, they are cut into pages. */
int mcp__pages_begin_entry(mcp__pages_t *pages, uint64_t number);
void mcp__pages_cut(mcp__pages_t *pages);

mcp__page_t mcp__pages_after(const mcp__pages_t *pages, uint64_t cursor); /* 0: the first page */

#endif
