/* tls.h: TLS (RFC 8446, RFC 5246) for one connection, independent of sockets: input of the peer is fed in,
 * output for the peer is collected in out. */
#ifndef MCP_TLS_H
#define MCP_TLS_H

#include "base/buf.h"

enum { MCP__TLS_RECORD = 16 * 1024 }; /* maximum plain text of a record in bytes (RFC 8446 section 5.1) */

/* Certificate or trusted CAs, shared by all connections of one side. Reference-counted: each connection holds
 * it, too. */
typedef struct ssl_ctx_st mcp__tls_context_t;

/* Reads PEM files. Returns 0, with a warning or "" in problem; UV_EINVAL with the cause in problem;
 * UV_ENOMEM. */
int mcp__tls_server(const char *cert_file, const char *key_file, mcp__tls_context_t **context, char *problem,
                    size_t size);
/* ca_file NULL: the system trust store. */
int mcp__tls_client(const char *ca_file, mcp__tls_context_t **context, char *problem, size_t size);
void mcp__tls_release(mcp__tls_context_t *context); /* context may be NULL */

typedef enum mcp__tls_fault {
  MCP__TLS_OK,
  MCP__TLS_OTHER_PROTOCOL,  /* the peer sent something other than TLS */
  MCP__TLS_EXPIRED,         /* the peer's certificate has expired */
  MCP__TLS_NOT_YET,         /* the peer's certificate is not valid yet */
  MCP__TLS_UNTRUSTED,       /* the peer's certificate is not signed by a trusted CA */
  MCP__TLS_WRONG_NAME,      /* the peer's certificate is for another host */
  MCP__TLS_BAD_CERTIFICATE, /* the peer's certificate is invalid for another reason */
  MCP__TLS_REFUSED,         /* the peer sent an alert */
  MCP__TLS_FAILED           /* other errors: no common version or cipher, a broken record, out of memory */
} mcp__tls_fault_t;

typedef struct mcp__tls {
  struct ssl_st *ssl;
  const char *host; /* borrowed; NULL: this is a server */
  const char *in;   /* during mcp__tls_feed(): the rest of its input */
  size_t in_len;
  mcp__buf_t out; /* emptied by the owner, which sends it */
  bool open;      /* the handshake is complete */
  bool secret;    /* see mcp__tls_set_secret() */
  mcp__tls_fault_t fault;
  char problem[400]; /* message for fault */
} mcp__tls_t;

/* host NULL: a server. Otherwise a client of host, a name or an address, whose ClientHello is in out on
 * return. verify: the peer has to prove its identity. host must outlive the connection. Returns NULL if out
 * of memory. */
mcp__tls_t *mcp__tls_new(mcp__tls_context_t *context, const char *host, bool verify, size_t max_out);
void mcp__tls_free(mcp__tls_t *tls); /* tls may be NULL */

/* Takes input of the peer. Calls take with the decrypted text, up to MCP__TLS_RECORD bytes at a time, until
 * it returns false: then the rest is discarded. Returns 0; UV_EOF: the peer sent close_notify; MCP_ETLS: see
 * fault. Each call may append to out, after a failure an alert. */
int mcp__tls_feed(mcp__tls_t *tls, const char *data, size_t len,
                  bool (*take)(void *arg, const char *plain, size_t len), void *arg);

/* While on, OpenSSL and mcp__tls_feed() wipe their copies of the input once it has been processed. */
void mcp__tls_set_secret(mcp__tls_t *tls, bool on);

/* Encrypts all of plain into out if the handshake is complete. Returns 0 or MCP_ETLS. */
int mcp__tls_write(mcp__tls_t *tls, mcp__buf_t *plain);

void mcp__tls_close(mcp__tls_t *tls); /* sends close_notify; idempotent */

/* Formats the version, the cipher and the peer's certificate ("for …, signed by …, until …"). Valid after the
 * handshake. */
void mcp__tls_describe(const mcp__tls_t *tls, char *text, size_t size);

#endif
