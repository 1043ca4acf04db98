/* certificate.h: who a server is, in TLS: two files, read again at SIGHUP. */
#ifndef MCP_CERTIFICATE_H
#define MCP_CERTIFICATE_H

#include "transport/tls.h"

#include <uv.h>

typedef struct mcp__certificate {
  char *cert_file, *key_file;
  mcp__tls_context_t *context; /* NULL: there is none, and no TLS */
  const char *owner;           /* for the log; borrowed while it is watched */
  uv_signal_t sighup;
  bool watched; /* hangup is open */
} mcp__certificate_t;

/* In place of what was there; both NULL: none. A zeroed one is empty. 0; UV_EINVAL, with the words in
 * mcp_last_error(); UV_ENOMEM. */
int mcp__certificate_set(mcp__certificate_t *certificate, const char *cert_file, const char *key_file);
int mcp__certificate_from_environment(mcp__certificate_t *certificate); /* ICCM_TLS_CERT and _KEY */
void mcp__certificate_deinit(mcp__certificate_t *certificate);

/* Between these SIGHUP makes new connections get what the files hold then; what cannot be used leaves all as
 * it was. cb gets the handle, whose data is the caller's; without TLS nothing is watched, and cb does not
 * fire. */
void mcp__certificate_watch(mcp__certificate_t *certificate, uv_loop_t *loop, const char *owner);
void mcp__certificate_unwatch(mcp__certificate_t *certificate, uv_close_cb cb);

#endif
