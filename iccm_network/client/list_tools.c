/* list_tools.c: tools/list over all pages, by requests of a client.
 *
 * Happy path: the tools of each page are appended to those of earlier pages, and the next page is requested
 * with the remaining time. After the last page the caller gets all tools as one array. Failure: a failed page
 * ends the listing with its error; so does a list with too many pages, a repeated cursor, or too many bytes.
 * Each page is a child of the listing's parent, until the parent ends. */
#include "client/client.h"

#include "base/arena.h"
#include "mcp/tool_headers.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { MAX_PAGES = 1000, MAX_BYTES = 64 << 20, DEFAULT_TIMEOUT_MS = 30000, NS_PER_MS = 1000000 };

typedef struct listing {
  mcp__child_t child;   /* tracks whether the parent still exists */
  const char *trace_id; /* in tools' memory */
  uint64_t span;
  mcp_result_cb cb;
  void *arg;
  uint64_t timeout_ms, deadline_ns;
  unsigned pages;
  mcp__arena_t arena;
  yyjson_mut_doc *tools;  /* in the arena: the array of all tools so far */
  yyjson_mut_val *cursor; /* in the memory of tools: cursor of the requested page; NULL: the first one */
} listing_t;

static void listing_free(listing_t *listing) {
  mcp__child_leave(&listing->child);
  mcp__arena_deinit(&listing->arena);
  mcp__free(listing);
}

static void finish(mcp_client_t *client, listing_t *listing, const mcp_result_t *result) {
  listing->cb(client, result, listing->arg);
  listing_free(listing);
}

static void fail(mcp_client_t *client, listing_t *listing, int status, const char *message) {
  mcp_result_t result = {.status = status, .message = message};
  finish(client, listing, &result);
}

static void fail_out_of_memory(mcp_client_t *client, listing_t *listing) {
  if (listing->arena.out_of_memory)
    fail(client, listing, UV_ENOMEM, "out of memory while reading the list of tools");
  else
    fail(client, listing, MCP_ETOOBIG, "the list of tools is larger than the limit");
}

static void finish_with_list(mcp_client_t *client, listing_t *listing) {
  yyjson_doc *whole = yyjson_mut_doc_imut_copy(listing->tools, &listing->arena.alc);
  mcp_result_t result = {.value = yyjson_doc_get_root(whole)};
  if (whole == NULL)
    fail_out_of_memory(client, listing);
  else
    finish(client, listing, &result);
}

static void on_page(mcp_client_t *client, const mcp_result_t *result, void *arg);

static uint64_t left_ms(const listing_t *listing) {
  uint64_t now_ns = uv_hrtime();
  return now_ns < listing->deadline_ns ? (listing->deadline_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS : 1;
}

static int request_page(mcp_client_t *client, listing_t *listing, uint64_t *id) {
  mcp__request_spec_t spec = {.method = "tools/list",
                              .trace_id = listing->trace_id,
                              .parent = listing->child.parent,
                              .span = listing->span,
                              .timeout_ms = listing->timeout_ms,
                              .cb = on_page,
                              .arg = listing,
                              .id = id};
  yyjson_mut_doc *params = NULL;
  if (listing->cursor != NULL) {
    spec.timeout_ms = left_ms(listing);
    params = yyjson_mut_doc_new(&mcp__json_alc);
    yyjson_mut_val *root = yyjson_mut_obj(params);
    yyjson_mut_doc_set_root(params, root);
    if (!yyjson_mut_obj_add_val(params, root, "cursor", yyjson_mut_val_mut_copy(params, listing->cursor))) {
      yyjson_mut_doc_free(params);
      return UV_ENOMEM;
    }
  }
  return mcp__client_send_request(client, &spec, params);
}

/* The message names the time limit of the whole listing; a later page had less. */
static void fail_timeout(mcp_client_t *client, listing_t *listing, const char *message) {
  char message_text[640];
  const char *end = strstr(message, "no answer within ");
  snprintf(message_text, sizeof message_text, "%.*sno answer within %llu ms",
           end != NULL ? (int)(end - message) : 0, message, (unsigned long long)listing->timeout_ms);
  fail(client, listing, MCP_ETIMEOUT, message_text);
}

/* Whether the tool may be used: over HTTP, one whose x-mcp-header is invalid must be left out (MCP
 * 2026-07-28, Streamable HTTP). */
static bool is_usable(yyjson_val *tool) {
  char problem[256];
  mcp__tool_headers_t headers = {0};
  yyjson_val *name = yyjson_obj_get(tool, "name");
  int status = mcp__tool_headers_read(&headers, yyjson_obj_get(tool, "inputSchema"), problem, sizeof problem);
  mcp__tool_headers_free(&headers);
  if (status == MCP_ETOOL)
    mcp_log(MCP_LOG_WARN, "client", "left the tool %.100s out of the list: %s",
            yyjson_is_str(name) ? yyjson_get_str(name) : "without a name", problem);
  return status != MCP_ETOOL;
}

static void append_tools(const mcp_client_t *client, listing_t *listing, yyjson_val *tools) {
  bool must_be_usable = mcp__client_uses_tool_headers(client);
  size_t index, count;
  yyjson_val *tool;
  yyjson_arr_foreach(tools, index, count, tool) {
    if (!must_be_usable || is_usable(tool))
      yyjson_mut_arr_append(yyjson_mut_doc_get_root(listing->tools),
                            yyjson_val_mut_copy(listing->tools, tool));
  }
}

/* Sets the cursor of the next page. A repeated cursor, or too many pages, means that the list never ends. */
static int set_cursor(listing_t *listing, yyjson_val *cursor) {
  if (++listing->pages == MAX_PAGES)
    return MCP_EPROTOCOL;
  if (listing->cursor != NULL &&
      yyjson_equals_strn(cursor, yyjson_mut_get_str(listing->cursor), yyjson_mut_get_len(listing->cursor)))
    return MCP_EPROTOCOL;
  listing->cursor = yyjson_val_mut_copy(listing->tools, cursor);
  return 0;
}

static void on_page(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  listing_t *listing = arg;
  yyjson_val *tools = yyjson_obj_get(result->value, "tools");
  yyjson_val *cursor = yyjson_obj_get(result->value, "nextCursor");
  int status;
  if (result->status == MCP_ETIMEOUT && listing->cursor != NULL) {
    fail_timeout(client, listing, result->message);
    return;
  }
  if (result->status != 0) {
    finish(client, listing, result);
    return;
  }
  if (!yyjson_is_arr(tools)) {
    fail(client, listing, MCP_EPROTOCOL, "the response to tools/list has no array of tools");
    return;
  }
  append_tools(client, listing, tools);
  if (listing->arena.failed)
    fail_out_of_memory(client, listing);
  else if (yyjson_get_len(cursor) == 0 || !yyjson_is_str(cursor))
    finish_with_list(client, listing);
  else if (set_cursor(listing, cursor) != 0)
    fail(client, listing, MCP_EPROTOCOL, "the list of tools does not end");
  else if (listing->arena.failed)
    fail_out_of_memory(client, listing);
  else if ((status = request_page(client, listing, NULL)) != 0)
    fail(client, listing, status, mcp_strerror(status));
}

/* Nothing to do: the request of the page is cancelled as a child itself. */
static void on_cancel(mcp__child_t *child) {
  (void)child;
}

/* Sets trace and parent of the listing. */
static int set_parent(listing_t *listing, const mcp__request_spec_t *spec, mcp_call_t *call) {
  mcp__parent_t *parent = call != NULL ? mcp__parent_of(call) : NULL;
  int status = parent != NULL ? mcp__parent_may_adopt(parent) : 0;
  if (spec->trace_id != NULL)
    listing->trace_id = yyjson_mut_get_str(yyjson_mut_strcpy(listing->tools, spec->trace_id));
  listing->span = spec->span;
  listing->child.on_cancel = on_cancel;
  if (status == 0 && parent != NULL)
    mcp__parent_adopt(parent, &listing->child);
  return status;
}

int mcp_client_list_tools(mcp_client_t *client, const mcp_call_options_t *options, mcp_result_cb cb,
                          void *arg) {
  mcp__request_spec_t spec = {0};
  int status = mcp__request_spec_set_options(&spec, options);
  listing_t *listing = status == 0 ? mcp__calloc(sizeof *listing) : NULL;
  if (listing == NULL)
    return status != 0 ? status : UV_ENOMEM;
  listing->cb = cb;
  listing->arg = arg;
  listing->timeout_ms = spec.timeout_ms > 0 ? spec.timeout_ms : DEFAULT_TIMEOUT_MS;
  listing->deadline_ns = uv_hrtime() + listing->timeout_ms * NS_PER_MS;
  mcp__arena_init(&listing->arena, MAX_BYTES);
  listing->tools = yyjson_mut_doc_new(&listing->arena.alc);
  yyjson_mut_doc_set_root(listing->tools, yyjson_mut_arr(listing->tools));
  status = set_parent(listing, &spec, options != NULL ? options->parent : NULL);
  if (status == 0)
    status = listing->arena.failed ? UV_ENOMEM : request_page(client, listing, spec.id);
  if (status != 0)
    listing_free(listing);
  return status;
}
