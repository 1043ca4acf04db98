/* list.c: `iccm list URL`. Prints the tools of all pages together. */
#include "report.h"
#include "sync_client.h"

typedef struct listing {
  const print_t *out;
  int code;
} listing_t;

static void on_tools(session_t *session, const mcp_result_t *result, void *arg) {
  listing_t *listing = arg;
  if (result->status != 0)
    listing->code =
        report_failure(session->options, listing->out, "tools/list", result, session_reached(session));
  else if (session->options->json)
    print_json(listing->out, result->value, false);
  else
    print_tools(listing->out, result->value);
}

int list_run(const options_t *options, const print_t *out) {
  session_t session;
  listing_t listing = {.out = out};
  int code = session_begin(&session, options, out);
  if (code != 0)
    return code;
  session_list_tools(&session, 0, on_tools, &listing);
  return session_end(&session, listing.code);
}
