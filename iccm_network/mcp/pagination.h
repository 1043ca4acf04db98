/* pagination.h: a list that is returned in pages while entries are added and removed; pure.
 *
 * Entries are ordered by their numbers, which increase and are never reused. A cursor is the number of the
 * last entry that the client has received: the next page begins after it, whatever was added or removed. */
#ifndef MCP_PAGINATION_H
#define MCP_PAGINATION_H

#include "base/buf.h"

/* Maximum size of the entries of a page, unless it has a single entry: many clients close the connection at 1
 * MiB. */
enum { MCP__PAGES_MAX_BYTES = 900 << 10 };

typedef struct mcp__page_entry {
  uint64_t number;
  size_t begin;    /* offset of its text */
  size_t page_end; /* index after the last entry of a page that begins here */
} mcp__page_entry_t;

typedef struct mcp__pages {
  mcp__buf_t text; /* all entries, separated by commas: each page is a slice of it */
  mcp__page_entry_t *entries;
  size_t count;
  uint64_t last_cursor; /* the highest cursor that any of these pages returns; 0: there is only one page */
} mcp__pages_t;

typedef struct mcp__page {
  const char *text; /* borrowed; not NUL-terminated */
  size_t len;
  uint64_t next; /* cursor of the next page; 0: this is the last page */
} mcp__page_t;

int mcp__pages_init(mcp__pages_t *pages, size_t capacity); /* 0 or UV_ENOMEM with nothing to deinit */
void mcp__pages_deinit(mcp__pages_t *pages);               /* a zeroed list is fine */

/* Adds an entry; the caller appends its text to pages->text. Numbers must increase, from 1 on; at most
 * capacity entries. 0 or UV_ENOMEM. After the last entry call mcp__pages_cut(). */
int mcp__pages_begin_entry(mcp__pages_t *pages, uint64_t number);
void mcp__pages_cut(mcp__pages_t *pages);

/* the page after cursor; 0: the first page */
mcp__page_t mcp__pages_after(const mcp__pages_t *pages, uint64_t cursor);

#endif
