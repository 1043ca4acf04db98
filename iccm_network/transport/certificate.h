/* certificate.h: a server's TLS certificate and private key, read from two files, and again on request or at
 * SIGHUP. */
#ifndef MCP_CERTIFICATE_H
#define MCP_CERTIFICATE_H

#include "transport/tls.h"

#include <uv.h>

typedef struct mcp__certificate {
  char *cert_file, *key_file;
  mcp__tls_context_t *context; /* NULL: no certificate, TLS is off */
  const char *owner;           /* name for the log; borrowed while watched */
  uv_signal_t sighup;
  bool watched; /* sighup is open */
} mcp__certificate_t;

/* Replaces the certificate; both NULL: removes it. A zeroed one is empty. Returns 0, UV_ENOMEM, or UV_EINVAL
 * with the cause in mcp_last_error(). */
int mcp__certificate_set(mcp__certificate_t *certificate, const char *cert_file, const char *key_file);
int mcp__certificate_from_environment(mcp__certificate_t *certificate); /* ICCM_TLS_CERT, ICCM_TLS_KEY */
void mcp__certificate_deinit(mcp__certificate_t *certificate);

/* Reads the files again for new connections. If they are invalid, the old certificate stays, and owner's log
 * has the cause. Returns 0, MCP_ESTATE without a certificate, UV_ENOMEM, or UV_EINVAL with the cause in
 * mcp_last_error(). */
int mcp__certificate_reload(mcp__certificate_t *certificate, const char *owner);

/* Between watch and unwatch, SIGHUP reloads. cb gets the signal handle, whose data belongs to the caller.
 * Without TLS nothing is watched and cb is not called. watch returns 0, or a system error, which is logged.
 */
int mcp__certificate_watch(mcp__certificate_t *certificate, uv_loop_t *loop, const char *owner);
void mcp__certificate_unwatch(mcp__certificate_t *certificate, uv_close_cb cb);

#endif
