/* tls.h: TLS (RFC 8446, RFC 5246) for one connection, apart from any socket: what the peer sent is fed in,
 * what it is to be sent gathers in out. */
#ifndef MCP_TLS_H
#define MCP_TLS_H

#include "base/buf.h"

enum { MCP__TLS_RECORD = 16 * 1024 }; /* bytes of plain text in one, at the most (RFC 8446 section 5.1) */

/* What connections of one side have in common: who it is, or whom it trusts. Connections hold it, too. */
typedef struct ssl_ctx_st mcp__tls_context_t;

/* PEM files. 0, problem being "" or a warning; UV_EINVAL with the problem in words; UV_ENOMEM. */
int mcp__tls_server(const char *cert_file, const char *key_file, mcp__tls_context_t **context, char *problem,
                    size_t size);
/* ca_file NULL: whom this machine trusts. */
int mcp__tls_client(const char *ca_file, mcp__tls_context_t **context, char *problem, size_t size);
void mcp__tls_release(mcp__tls_context_t *context); /* NULL is fine */

typedef enum mcp__tls_fault {
  MCP__TLS_OK,
  MCP__TLS_OTHER_PROTOCOL,  /* by the peer, whose first bytes are something else */
  MCP__TLS_EXPIRED,         /* the peer's certificate; … */
  MCP__TLS_NOT_YET,         /* … it is not valid yet; … */
  MCP__TLS_UNTRUSTED,       /* … nobody who is trusted has signed it; … */
  MCP__TLS_WRONG_NAME,      /* … it is another host's; … */
  MCP__TLS_BAD_CERTIFICATE, /* … or something else is wrong with it */
  MCP__TLS_REFUSED,         /* the peer refused, and said so */
  MCP__TLS_FAILED           /* anything else: no version or cipher in common, a broken record, no memory */
} mcp__tls_fault_t;

typedef struct mcp__tls {
  struct ssl_st *ssl;
  const char *host; /* borrowed; NULL: this is a server */
  const char *in;   /* while something is fed: what is left of it */
  size_t in_len;
  mcp__buf_t out; /* whoever sends it empties it */
  bool open;      /* the handshake is over */
  bool secret;    /* see mcp__tls_set_secret() */
  mcp__tls_fault_t fault;
  char problem[400]; /* the fault in words */
} mcp__tls_t;

/* As a server, host NULL; or as a client of host, a name or an address, whose first words are in out then.
 * verify: the peer has to prove that it is that host. NULL: no memory. host lives as long as the connection.
 */
mcp__tls_t *mcp__tls_new(mcp__tls_context_t *context, const char *host, bool verify, size_t max_out);
void mcp__tls_free(mcp__tls_t *tls); /* NULL is fine */

/* Takes bytes of the peer's. take is called with the plain text in them, in pieces of up to MCP__TLS_RECORD
 * bytes, until it says false: then the rest is lost. 0; UV_EOF: the peer has said that nothing follows;
 * MCP_ETLS: see fault. There may be something in out after each, an alert for the peer after a failure. */
int mcp__tls_feed(mcp__tls_t *tls, const char *data, size_t len,
                  bool (*take)(void *arg, const char *plain, size_t len), void *arg);

/* On: OpenSSL and mcp__tls_feed() wipe their copies of what came, once it is taken. */
void mcp__tls_set_secret(mcp__tls_t *tls, bool on);

/* Moves all of plain into out, once the handshake is over. 0 or MCP_ETLS. */
int mcp__tls_write(mcp__tls_t *tls, mcp__buf_t *plain);

void mcp__tls_close(mcp__tls_t *tls); /* nothing follows; again is fine */

/* The version and cipher, and the peer's certificate ("for …, signed by …, until …"), in words; before the
 * handshake is over without sense. */
void mcp__tls_describe(const mcp__tls_t *tls, char *text, size_t size);

#endif
