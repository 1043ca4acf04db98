/* client_text.c: calls, requests and results of a client as JSON text, for other languages.
 *
 * Happy path: the text is read into a document, and the call is made as with a document. Failure: text that
 * cannot be read is an error of the call, with the reason in mcp_last_error(). */
#include "base/error.h"
#include "base/json.h"

#include <string.h>
#include <uv.h>

/* *doc stays NULL if there is no text. */
static int read_params(const char *json, size_t len, yyjson_mut_doc **doc) {
  mcp__json_error_t error;
  if (json == NULL)
    return 0;
  yyjson_doc *given = mcp__json_read(json, len, &mcp__json_alc, &error);
  if (given == NULL) {
    mcp__json_set_last_error(&error);
    return error.status == UV_ENOMEM ? UV_ENOMEM : MCP_EENCODE;
  }
  *doc = yyjson_doc_mut_copy(given, &mcp__json_alc);
  yyjson_doc_free(given);
  return *doc != NULL ? 0 : UV_ENOMEM;
}

int mcp_client_call_text(mcp_client_t *client, const char *tool, const char *args, size_t args_len,
                         const mcp_call_options_t *options, mcp_result_cb cb, void *arg) {
  yyjson_mut_doc *doc = NULL;
  int status = read_params(args, args_len, &doc);
  return status == 0 ? mcp_client_call(client, tool, doc, options, cb, arg) : status;
}

int mcp_client_request_text(mcp_client_t *client, const char *method, const char *params, size_t params_len,
                            const mcp_call_options_t *options, mcp_result_cb cb, void *arg) {
  yyjson_mut_doc *doc = NULL;
  int status = read_params(params, params_len, &doc);
  return status == 0 ? mcp_client_request(client, method, doc, options, cb, arg) : status;
}

const char *mcp_result_value_text(const mcp_result_t *result, size_t *len) {
  *len = 0;
  if (result->value == NULL || result->value_text == NULL)
    return NULL;
  char **text = result->value_text; /* freed by who calls the callback */
  if (*text == NULL)
    *text = yyjson_val_write_opts(result->value, 0, &mcp__json_alc, NULL, NULL);
  if (*text != NULL)
    *len = strlen(*text);
  return *text;
}
