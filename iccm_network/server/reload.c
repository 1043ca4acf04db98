/* reload.c: the tokens and the certificate.
 *
 * Happy path: each file is read, and replaces what was read before. Failure: the log has the cause, and the
 * old content stays; the other files are read nevertheless. */
#include "server/server.h"

#include "iccm_service.h"

static int reload_tokens(mcp_server_t *server) {
  mcp__auth_t *auth = &server->conns.auth;
  int status = mcp__auth_reload(auth);
  if (status != 0)
    mcp_log(MCP_LOG_ERROR, server->name, "cannot reload the tokens, keeping the old ones: %s",
            status == UV_EINVAL ? mcp_last_error() : mcp_strerror(status));
  else if (auth->file != NULL)
    mcp_log(MCP_LOG_INFO, server->name, "tokens reloaded: %u", auth->tokens.count);
  return status;
}

int mcp_server_reload(mcp_server_t *server) {
  mcp__certificate_t *certificate = &server->conns.certificate;
  int tokens = reload_tokens(server);
  int tls = certificate->context != NULL ? mcp__certificate_reload(certificate, server->name) : 0;
  return tls != 0 ? tls : tokens;
}

static void on_sighup(uv_signal_t *handle, int number) {
  (void)number;
  mcp_server_reload(handle->data);
}

int mcp_server_reload_on_sighup(mcp_server_t *server) {
  mcp__reload_t *reload = &server->reload;
  if (server->state != MCP__SERVER_RUNNING)
    return MCP_ESTATE;
  if ((server->conns.certificate.context == NULL && server->conns.auth.file == NULL) || reload->watched)
    return 0;
  int status = uv_signal_init(server->loop, &reload->sighup);
  if (status == 0) {
    reload->watched = true;
    reload->sighup.data = server;
    uv_unref((uv_handle_t *)&reload->sighup);
    status = uv_signal_start(&reload->sighup, on_sighup, SIGHUP);
  }
  if (status != 0)
    mcp_log(MCP_LOG_WARN, server->name, "cannot reload at SIGHUP: %s", mcp_strerror(status));
  return status;
}

void mcp__reload_unwatch(mcp__reload_t *reload, uv_close_cb cb) {
  if (reload->watched)
    uv_close((uv_handle_t *)&reload->sighup, cb);
  reload->watched = false;
}
