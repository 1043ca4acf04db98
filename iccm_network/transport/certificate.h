/* certificate.h: a server's TLS certificate and private key, read from two files, and again on request or at
 * SIGHUP. */
#ifndef MCP_CERTIFICATE_H
#define MCP_CERTIFICATE_H

#include "transport/tls.h"

typedef struct mcp__certificate {
  char *cert_file, *key_file;
  mcp__tls_context_t *context; /* NULL: no certificate, TLS is off */
} mcp__certificate_t;

/* Replaces the certificate; both NULL: removes it. A zeroed one is empty. Returns 0, UV_ENOMEM, or UV_EINVAL
 * with the cause in mcp_last_error(). */
int mcp__certificate_set(mcp__certificate_t *certificate, const char *cert_file, const char *key_file);
int mcp__certificate_from_environment(mcp__certificate_t *certificate); /* ICCM_TLS_CERT, ICCM_TLS_KEY */
void mcp__certificate_deinit(mcp__certificate_t *certificate);

/* Reads the files again for new connections. If they are invalid, the old certificate stays, and owner's log
 * has the cause. There has to be one. Returns 0, UV_ENOMEM, or UV_EINVAL with the cause in
 * mcp_last_error(). */
int mcp__certificate_reload(mcp__certificate_t *certificate, const char *owner);

#endif
