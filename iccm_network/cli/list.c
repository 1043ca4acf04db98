/* list.c: `iccm list URL`. Follows nextCursor through the pages and prints all tools together.
 *
 * Fails where the answer holds no array of tools, and where the pages do not end: a peer that always names a
 * next page is stopped at MAX_PAGES.
 */
#include "report.h"
#include "session.h"

enum { MAX_PAGES = 100 };

typedef struct listing {
  const print_t *out;
  yyjson_mut_doc *tools; /* the array of all tools so far */
  yyjson_mut_doc *next;  /* params of the next page; NULL: that was the last one */
  int pages;
  int code;
} listing_t;

static void fail(session_t *session, listing_t *listing, int status, const char *message) {
  mcp_result_t result = {.status = status, .message = message};
  listing->code = report_failure(session->options, listing->out, "tools/list", &result, true);
}

static void on_page(session_t *session, const mcp_result_t *result, void *arg) {
  listing_t *listing = arg;
  yyjson_val *tools = yyjson_obj_get(result->value, "tools"), *tool;
  yyjson_val *cursor = yyjson_obj_get(result->value, "nextCursor");
  size_t i, max;
  if (result->status != 0 || result->is_error) {
    listing->code = report_failure(session->options, listing->out, "tools/list", result, session->connected);
    return;
  }
  if (!yyjson_is_arr(tools)) {
    fail(session, listing, MCP_EPROTOCOL, "the answer holds no array of tools");
    return;
  }
  yyjson_arr_foreach(tools, i, max, tool) {
    yyjson_mut_arr_append(yyjson_mut_doc_get_root(listing->tools),
                          checked(yyjson_val_mut_copy(listing->tools, tool)));
  }
  if (!yyjson_is_str(cursor))
    return;
  if (++listing->pages == MAX_PAGES) {
    fail(session, listing, MCP_EPROTOCOL, "the list of tools does not end");
    return;
  }
  listing->next = checked(yyjson_mut_doc_new(NULL));
  yyjson_mut_doc_set_root(listing->next, checked(yyjson_mut_obj(listing->next)));
  yyjson_mut_obj_add(yyjson_mut_doc_get_root(listing->next), yyjson_mut_str(listing->next, "cursor"),
                     checked(yyjson_val_mut_copy(listing->next, cursor)));
}

static void print_listing(const listing_t *listing, bool json) {
  yyjson_doc *tools = checked(yyjson_mut_doc_imut_copy(listing->tools, NULL));
  if (json)
    print_json(listing->out, yyjson_doc_get_root(tools), false);
  else
    print_tools(listing->out, yyjson_doc_get_root(tools));
  yyjson_doc_free(tools);
}

int list_run(const options_t *options, const print_t *out) {
  session_t session;
  listing_t listing = {.out = out};
  int code = session_begin(&session, options, out);
  if (code != 0)
    return code;
  listing.tools = checked(yyjson_mut_doc_new(NULL));
  yyjson_mut_doc_set_root(listing.tools, checked(yyjson_mut_arr(listing.tools)));
  do {
    yyjson_mut_doc *params = listing.next;
    listing.next = NULL;
    session_request(&session, "tools/list", params, on_page, &listing);
  } while (listing.next != NULL);
  if (listing.code == ICCM_OK)
    print_listing(&listing, options->json);
  yyjson_mut_doc_free(listing.tools);
  return session_end(&session, listing.code);
}
