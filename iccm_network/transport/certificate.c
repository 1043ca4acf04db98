/* certificate.c: see certificate.h. Open connections keep their certificate. */
#include "transport/certificate.h"

#include "base/error.h"
#include "base/settings.h"

#include <signal.h>

int mcp__certificate_set(mcp__certificate_t *certificate, const char *cert_file, const char *key_file) {
  char problem[512];
  mcp__certificate_t new = {0};
  if (cert_file != NULL || key_file != NULL) {
    if (cert_file == NULL || key_file == NULL) {
      mcp__set_last_error(
          "TLS requires a certificate and its key: set both ICCM_TLS_CERT and ICCM_TLS_KEY, or neither");
      return UV_EINVAL;
    }
    int status = mcp__tls_server(cert_file, key_file, &new.context, problem, sizeof problem);
    if (status != 0) {
      mcp__set_last_error("%s", problem);
      return status;
    }
    if (*problem != '\0')
      mcp_log(MCP_LOG_WARN, "tls", "%s", problem);
    new.cert_file = mcp__strdup(cert_file);
    new.key_file = mcp__strdup(key_file);
    if (new.cert_file == NULL || new.key_file == NULL) {
      mcp__certificate_deinit(&new);
      return UV_ENOMEM;
    }
  }
  mcp__certificate_deinit(certificate);
  *certificate = new;
  return 0;
}

int mcp__certificate_from_environment(mcp__certificate_t *certificate) {
  return mcp__certificate_set(certificate, mcp__setting("ICCM_TLS_CERT"), mcp__setting("ICCM_TLS_KEY"));
}

void mcp__certificate_deinit(mcp__certificate_t *certificate) {
  mcp__tls_release(certificate->context);
  mcp__free(certificate->cert_file);
  mcp__free(certificate->key_file);
  certificate->context = NULL;
  certificate->cert_file = certificate->key_file = NULL;
}

int mcp__certificate_reload(mcp__certificate_t *certificate, const char *owner) {
  char problem[512];
  mcp__tls_context_t *context;
  if (certificate->context == NULL)
    return MCP_ESTATE;
  int status =
      mcp__tls_server(certificate->cert_file, certificate->key_file, &context, problem, sizeof problem);
  if (status != 0) {
    mcp_log(MCP_LOG_ERROR, owner, "cannot reload the certificate, keeping the old one: %s", problem);
    mcp__set_last_error("%s", problem);
    return status;
  }
  mcp__tls_release(certificate->context);
  certificate->context = context;
  mcp_log(*problem != '\0' ? MCP_LOG_WARN : MCP_LOG_INFO, owner, "certificate reloaded%s%s",
          *problem != '\0' ? "; " : "", problem);
  return 0;
}

static void on_sighup(uv_signal_t *handle, int number) {
  mcp__certificate_t *certificate =
      (mcp__certificate_t *)((char *)handle - offsetof(mcp__certificate_t, sighup));
  (void)number;
  mcp__certificate_reload(certificate, certificate->owner);
}

int mcp__certificate_watch(mcp__certificate_t *certificate, uv_loop_t *loop, const char *owner) {
  certificate->owner = owner;
  if (certificate->context == NULL || certificate->watched)
    return 0;
  int status = uv_signal_init(loop, &certificate->sighup);
  certificate->watched = status == 0;
  if (status == 0) {
    uv_unref((uv_handle_t *)&certificate->sighup);
    status = uv_signal_start(&certificate->sighup, on_sighup, SIGHUP);
  }
  if (status != 0)
    mcp_log(MCP_LOG_WARN, owner, "cannot reload the certificate at SIGHUP: %s", mcp_strerror(status));
  return status;
}

void mcp__certificate_unwatch(mcp__certificate_t *certificate, uv_close_cb cb) {
  if (certificate->watched)
    uv_close((uv_handle_t *)&certificate->sighup, cb);
  certificate->watched = false;
}
