/* search.h: the search for files. Blocks; any thread. */
#ifndef HORACE_SEARCH_H
#define HORACE_SEARCH_H

#include "catalogue.h"

enum { SEARCH_TAGS_MAX = 16 };

enum search_sort {
  SEARCH_SORT_CREATED,
  SEARCH_SORT_UPDATED,
  SEARCH_SORT_SIZE,
  SEARCH_SORT_PATH,
  SEARCH_SORT_OWNER,
  SEARCH_SORT_MIME_TYPE,
  SEARCH_SORT_VERSION,
  SEARCH_SORTS
};
extern const char *const search_sorts[SEARCH_SORTS]; /* names in requests */

/* The filters; a missing one matches every file. */
typedef struct search {
  int tag_count;
  mcp_text_t tags[SEARCH_TAGS_MAX]; /* all must match; distinct */
  mcp_text_t owner;
  mcp_text_t file_type;                  /* "text/csv", "image/" + '*', "csv" or ".csv" */
  const char *collection;                /* id */
  int64_t created_after, created_before; /* both included */
  int64_t min_size, max_size;
  int status; /* enum file_status; -1: any */
  enum search_sort sort;
  bool ascending;
  int64_t limit, offset;
} search_t;

/* Counts the matches in *total and passes the rows of a page (CATALOGUE_FILE_COLUMNS) to cb, the rows of
 * one file in sequence. */
int search_run(db_t *db, const search_t *search, cancel_token_t cancel, db_row_cb cb, void *arg,
               int64_t *total, store_error_t *error);

#endif
