/* list.c: `iccm list URL`. Prints the tools of all pages together. */
#include "commands.h"
#include "print.h"
#include "report.h"
#include "sync_client.h"
#include "tools_view.h"

typedef struct listing {
  const print_t *out;
  int code;
} listing_t;

static void on_tools(sync_client_t *sync, const mcp_result_t *result, void *arg) {
  listing_t *listing = arg;
  if (result->status != 0)
    listing->code =
        report_failure(sync->options, listing->out, "tools/list", result, sync_client_reached(sync));
  else if (sync->options->json)
    print_json(listing->out, result->value, false);
  else
    print_tools(listing->out, result->value);
}

int list_run(const options_t *options, const print_t *out) {
  sync_client_t sync;
  listing_t listing = {.out = out};
  int code = sync_client_begin(&sync, options, out);
  if (code != 0)
    return code;
  sync_client_list_tools(&sync, 0, on_tools, &listing);
  return sync_client_end(&sync, listing.code);
}
