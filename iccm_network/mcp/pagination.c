/* pagination.c: see pagination.h.
 *
 * Happy path: for each entry, the end of a page that begins with it is computed once. A page is then a
 * look-up of its first entry, which may be any, since the entries around a cursor may have been removed.
 * Failure: out of memory while the list is built; a cursor after the last entry gives an empty page. */
#include "mcp/pagination.h"

#include <uv.h>

int mcp__pages_init(mcp__pages_t *pages, size_t capacity) {
  *pages = (mcp__pages_t){0};
  mcp__buf_init(&pages->text, SIZE_MAX / 2, NULL);
  pages->entries = mcp__calloc((capacity + 1) * sizeof *pages->entries); /* + 1: the end of the last entry */
  return pages->entries != NULL ? 0 : UV_ENOMEM;
}

void mcp__pages_deinit(mcp__pages_t *pages) {
  mcp__buf_deinit(&pages->text);
  mcp__free(pages->entries);
  *pages = (mcp__pages_t){0};
}

int mcp__pages_begin_entry(mcp__pages_t *pages, uint64_t number) {
  int status = pages->count > 0 ? mcp__buf_puts(&pages->text, ",") : 0;
  pages->entries[pages->count++] = (mcp__page_entry_t){.number = number, .begin = pages->text.len};
  return status;
}

/* The size of the entries from begin to end (exclusive); a comma precedes each begin but the first. */
static size_t bytes(const mcp__pages_t *pages, size_t begin, size_t end) {
  return begin < end ? pages->entries[end].begin - 1 - pages->entries[begin].begin : 0;
}

static uint64_t next_of(const mcp__pages_t *pages, size_t end) {
  return end < pages->count ? pages->entries[end - 1].number : 0;
}

void mcp__pages_cut(mcp__pages_t *pages) {
  pages->entries[pages->count].begin = pages->text.len + 1;
  for (size_t begin = 0, end = 0; begin < pages->count; begin++) {
    if (end == begin)
      end++;
    while (end < pages->count && bytes(pages, begin, end + 1) <= MCP__PAGES_MAX_BYTES)
      end++;
    pages->entries[begin].page_end = end;
    if (end < pages->count)
      pages->last_cursor = next_of(pages, end);
  }
}

mcp__page_t mcp__pages_after(const mcp__pages_t *pages, uint64_t cursor) {
  size_t begin = 0, above = pages->count;
  while (begin < above) {
    size_t middle = begin + (above - begin) / 2;
    if (pages->entries[middle].number > cursor)
      above = middle;
    else
      begin = middle + 1;
  }
  if (begin == pages->count)
    return (mcp__page_t){.text = ""};
  size_t end = pages->entries[begin].page_end;
  return (mcp__page_t){pages->text.data + pages->entries[begin].begin, bytes(pages, begin, end),
                       next_of(pages, end)};
}
