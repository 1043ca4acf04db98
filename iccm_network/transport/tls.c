/* tls.c: OpenSSL between two buffers.
 *
 * Happy path: a custom BIO lets OpenSSL read the input and append to out, so that it uses no socket and never
 * blocks. Each feed continues the handshake; after it, plain text is returned. TLS 1.2 and 1.3, without
 * renegotiation and session resumption: connections are long-lived, and session keys that are not stored
 * cannot leak. Failure: a fault with a message that names the remedy; the connection cannot be used
 * afterwards. */
#include "transport/tls.h"
#include "iccm_service.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

/* ---- BIO ------------------------------------------------------------------------------------------- */

static int bio_read(BIO *bio, char *to, size_t size, size_t *got) {
  mcp__tls_t *tls = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  *got = tls->in_len < size ? tls->in_len : size;
  if (*got == 0) {
    BIO_set_retry_read(bio);
    return 0;
  }
  memcpy(to, tls->in, *got);
  tls->in += *got;
  tls->in_len -= *got;
  return 1;
}

static int bio_write(BIO *bio, const char *data, size_t len, size_t *done) {
  mcp__tls_t *tls = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  *done = len;
  return mcp__buf_append(&tls->out, data, len) == 0;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer) {
  (void)bio;
  (void)number;
  (void)pointer;
  return command == BIO_CTRL_FLUSH; /* nothing is buffered; other commands do not apply */
}

static BIO_METHOD *method;

static void make_method(void) {
  method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "buffers");
  if (method == NULL)
    return;
  BIO_meth_set_read_ex(method, bio_read);
  BIO_meth_set_write_ex(method, bio_write);
  BIO_meth_set_ctrl(method, bio_ctrl);
}

/* ---- contexts -------------------------------------------------------------------------------------- */

static const char *last_reason(void) {
  const char *reason = ERR_reason_error_string(ERR_peek_last_error());
  return reason != NULL ? reason : "unknown cause";
}

/* The cause why a file cannot be used: the first error in OpenSSL's queue, because later ones are generic. */
static const char *first_reason(void) {
  unsigned long error = ERR_peek_error();
  const char *reason =
      ERR_SYSTEM_ERROR(error) ? uv_strerror(-ERR_GET_REASON(error)) : ERR_reason_error_string(error);
  return reason != NULL ? reason : "unknown cause";
}

/* Never prompts on the terminal. */
static int no_password(char *to, int size, int writing, void *arg) {
  (void)to;
  (void)size;
  (void)writing;
  (void)arg;
  return 0;
}

static SSL_CTX *new_context(const SSL_METHOD *side) {
  static uv_once_t once = UV_ONCE_INIT;
  uv_once(&once, make_method);
  ERR_clear_error();
  SSL_CTX *context = method != NULL ? SSL_CTX_new(side) : NULL;
  if (context == NULL)
    return NULL;
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS); /* an idle connection keeps little memory */
  SSL_CTX_set_default_passwd_cb(context, no_password);
  return context;
}

static int file_error(SSL_CTX *context, char *problem, size_t size, const char *message, const char *file,
                      const char *cause) {
  char shown[MCP_SHOWN_SIZE];
  snprintf(problem, size, "%s \"%s\": %.150s", message, mcp_redact_setting(NULL, file, shown), cause);
  SSL_CTX_free(context);
  ERR_clear_error();
  return UV_EINVAL;
}

int mcp__tls_server(const char *cert_file, const char *key_file, mcp__tls_context_t **context, char *problem,
                    size_t size) {
  SSL_CTX *new = new_context(TLS_server_method());
  snprintf(problem, size, "out of memory");
  if (new == NULL)
    return UV_ENOMEM;
  if (SSL_CTX_use_certificate_chain_file(new, cert_file) != 1)
    return file_error(new, problem, size, "cannot read a PEM certificate from", cert_file, first_reason());
  if (SSL_CTX_use_PrivateKey_file(new, key_file, SSL_FILETYPE_PEM) != 1)
    return file_error(new, problem, size,
                      "cannot read a PEM private key, without a password and matching the certificate, from",
                      key_file, first_reason());
  *problem = '\0';
  if (X509_cmp_current_time(X509_get0_notAfter(SSL_CTX_get0_certificate(new))) < 0)
    snprintf(problem, size, "the certificate in \"%.200s\" has expired: clients will refuse it", cert_file);
  *context = new;
  return 0;
}

/* OpenSSL caches the properties of a certificate, even a failure for lack of memory. Computed here, because a
 * failure during a handshake would break all later ones. */
static void cache_trusted_purposes(SSL_CTX *context) {
  STACK_OF(X509_OBJECT) *trusted = X509_STORE_get0_objects(SSL_CTX_get_cert_store(context));
  for (int i = 0; i < sk_X509_OBJECT_num(trusted); i++) {
    X509 *certificate = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(trusted, i));
    if (certificate != NULL)
      X509_check_purpose(certificate, -1, 0);
  }
}

int mcp__tls_client(const char *ca_file, mcp__tls_context_t **context, char *problem, size_t size) {
  SSL_CTX *new = new_context(TLS_client_method());
  snprintf(problem, size, "out of memory");
  if (new == NULL)
    return UV_ENOMEM;
  if (ca_file == NULL)
    SSL_CTX_set_default_verify_paths(new); /* without such paths no peer is trusted */
  else if (SSL_CTX_load_verify_locations(new, ca_file, NULL) != 1)
    return file_error(new, problem, size, "cannot read PEM certificates from", ca_file, first_reason());
  cache_trusted_purposes(new);
  ERR_clear_error();
  *context = new;
  return 0;
}

void mcp__tls_release(mcp__tls_context_t *context) {
  SSL_CTX_free(context);
}

/* ---- descriptions ---------------------------------------------------------------------------------- */

/* Appends text chosen by a peer, with unprintable characters replaced by question marks. */
static void append_printable(char *text, size_t size, const char *format, const char *data, int len) {
  size_t at = strlen(text);
  char shown[128];
  snprintf(shown, sizeof shown, "%.*s", len, data);
  for (char *each = shown; *each != '\0'; each++)
    if ((unsigned char)*each < 0x20 || (unsigned char)*each >= 0x7f)
      *each = '?';
  snprintf(text + at, size - at, format, shown);
}

static void append_address(char *text, size_t size, const ASN1_OCTET_STRING *address) {
  char name[INET6_ADDRSTRLEN] = "?";
  int len = ASN1_STRING_length(address); /* any length: OpenSSL does not check it */
  if (len == 4 || len == 16)
    uv_inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), name, sizeof name);
  append_printable(text, size, *text != '\0' ? ", %s" : "%s", name, (int)strlen(name));
}

static void append_common_name(char *text, size_t size, const X509_NAME *name_entry) {
  char name[128] = "nobody";
  X509_NAME_get_text_by_NID(name_entry, NID_commonName, name, sizeof name);
  append_printable(text, size, "%s", name, (int)strlen(name));
}

static void write_names(X509 *certificate, char *text, size_t size) {
  GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
  *text = '\0';
  for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_DNS)
      append_printable(text, size, *text != '\0' ? ", %s" : "%s",
                       (const char *)ASN1_STRING_get0_data(name->d.dNSName),
                       ASN1_STRING_length(name->d.dNSName));
    else if (name->type == GEN_IPADD)
      append_address(text, size, name->d.iPAddress);
  }
  GENERAL_NAMES_free(names);
  if (*text == '\0')
    append_common_name(text, size, X509_get_subject_name(certificate));
}

static void write_date(const ASN1_TIME *time, char text[16]) {
  struct tm parts;
  snprintf(text, 16, "?");
  if (ASN1_TIME_to_tm(time, &parts) == 1)
    strftime(text, 16, "%Y-%m-%d", &parts);
}

void mcp__tls_describe(const mcp__tls_t *tls, char *text, size_t size) {
  char names[128], issuer[128] = "", until[16];
  X509 *certificate = SSL_get0_peer_certificate(tls->ssl);
  snprintf(text, size, "%s, %s", SSL_get_version(tls->ssl), SSL_get_cipher_name(tls->ssl));
  if (certificate == NULL)
    return;
  size_t at = strlen(text);
  write_names(certificate, names, sizeof names);
  append_common_name(issuer, sizeof issuer, X509_get_issuer_name(certificate));
  write_date(X509_get0_notAfter(certificate), until);
  snprintf(text + at, size - at, "; its certificate is for %s, signed by %s, valid until %s", names, issuer,
           until);
}

/* ---- faults ---------------------------------------------------------------------------------------- */

static int fail(mcp__tls_t *tls, mcp__tls_fault_t fault, const char *format, const char *detail) {
  tls->fault = fault;
  snprintf(tls->problem, sizeof tls->problem, format, detail);
  return MCP_ETLS;
}

/* Called by OpenSSL for each certificate of the chain. */
static int verify_certificate(int valid, X509_STORE_CTX *chain) {
  SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
  mcp__tls_t *tls = BIO_get_data(SSL_get_rbio(ssl));
  X509 *certificate = X509_STORE_CTX_get_current_cert(chain);
  int error = X509_STORE_CTX_get_error(chain);
  char text[160] = "?";
  if (valid)
    return 1;
  switch (error) {
  case X509_V_ERR_CERT_HAS_EXPIRED:
    write_date(X509_get0_notAfter(certificate), text);
    fail(tls, MCP__TLS_EXPIRED, "the peer's certificate, or one above it, was valid until %s and has expired",
         text);
    break;
  case X509_V_ERR_CERT_NOT_YET_VALID:
    write_date(X509_get0_notBefore(certificate), text);
    fail(tls, MCP__TLS_NOT_YET,
         "the peer's certificate, or one above it, is valid from %s on: compare the clocks", text);
    break;
  case X509_V_ERR_HOSTNAME_MISMATCH:
  case X509_V_ERR_IP_ADDRESS_MISMATCH:
    write_names(certificate, text, sizeof text);
    fail(tls, MCP__TLS_WRONG_NAME, "the peer's certificate is for %s, not for the host of this address",
         text);
    break;
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
  case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
  case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
  case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    fail(tls, MCP__TLS_UNTRUSTED,
         "the peer's certificate is not signed by a trusted CA (%s): set ICCM_TLS_CA to the file of the CA",
         X509_verify_cert_error_string(error));
    break;
  default:
    fail(tls, MCP__TLS_BAD_CERTIFICATE, "the peer's certificate is not accepted: %s",
         X509_verify_cert_error_string(error));
  }
  return 0;
}

/* Before a cipher is chosen, another protocol appears to OpenSSL as an invalid record or version. */
static bool is_other_protocol(const SSL *ssl, int reason) {
  if (SSL_get_pending_cipher(ssl) != NULL)
    return false;
  return reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
         reason == SSL_R_HTTPS_PROXY_REQUEST || reason == SSL_R_RECORD_LENGTH_MISMATCH ||
         reason == SSL_R_PACKET_LENGTH_TOO_LONG || reason == SSL_R_UNEXPECTED_MESSAGE ||
         reason == SSL_R_UNKNOWN_PROTOCOL;
}

/* Handles a failed OpenSSL call. Returns 0 if it needs more input. */
static int handle_ssl_error(mcp__tls_t *tls, int result) {
  int kind = SSL_get_error(tls->ssl, result);
  if (kind == SSL_ERROR_WANT_READ)
    return 0;
  if (kind == SSL_ERROR_ZERO_RETURN)
    return UV_EOF;
  if (tls->fault != MCP__TLS_OK)
    return MCP_ETLS; /* set by verify_certificate() */
  unsigned long error = ERR_peek_last_error();
  int reason = ERR_GET_REASON(error);
  if (!tls->open && is_other_protocol(tls->ssl, reason))
    return fail(tls, MCP__TLS_OTHER_PROTOCOL, "the peer does not speak TLS at this port%s",
                tls->host != NULL ? ": use ws:// or http://" : "");
  if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256)
    return fail(tls, MCP__TLS_REFUSED, "the peer refused: %s", last_reason());
  if (error != 0)
    return fail(tls, MCP__TLS_FAILED, "TLS failed: %s", last_reason());
  return fail(tls, MCP__TLS_FAILED, "%s", "out of memory");
}

/* ---- connection ------------------------------------------------------------------------------------ */

static int do_handshake(mcp__tls_t *tls) {
  ERR_clear_error();
  int result = SSL_do_handshake(tls->ssl);
  if (result != 1)
    return handle_ssl_error(tls, result);
  tls->open = true;
  return 0;
}

/* The host as in certificates: an address without its zone (RFC 4007 section 11), a name without the final
 * dot, which SNI omits, too (RFC 6066 section 3). */
static void certificate_host(const char *host, char plain[256]) {
  size_t len = strchr(host, ':') != NULL ? strcspn(host, "%") : strlen(host);
  bool rooted = len > 1 && host[len - 1] == '.';
  snprintf(plain, 256, "%.*s", (int)(len - rooted), host);
}

static bool expect_host(mcp__tls_t *tls) {
  char host[256];
  certificate_host(tls->host, host);
  X509_VERIFY_PARAM *params = SSL_get0_param(tls->ssl);
  X509_VERIFY_PARAM_set_hostflags(params, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (X509_VERIFY_PARAM_set1_ip_asc(params, host) == 1)
    return true; /* an address, which is never sent as SNI (RFC 6066 section 3) */
  return X509_VERIFY_PARAM_set1_host(params, host, 0) == 1 && SSL_set_tlsext_host_name(tls->ssl, host) == 1;
}

static bool set_up(mcp__tls_t *tls, mcp__tls_context_t *context, bool verify) {
  BIO *bio = BIO_new(method);
  tls->ssl = SSL_new(context);
  if (bio == NULL || tls->ssl == NULL) {
    BIO_free(bio);
    return false;
  }
  BIO_set_data(bio, tls);
  BIO_set_init(bio, 1);
  SSL_set_bio(tls->ssl, bio, bio);
  if (tls->host == NULL) {
    SSL_set_accept_state(tls->ssl);
    return true;
  }
  SSL_set_connect_state(tls->ssl);
  SSL_set_verify(tls->ssl, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, verify ? verify_certificate : NULL);
  return expect_host(tls) && do_handshake(tls) == 0;
}

mcp__tls_t *mcp__tls_new(mcp__tls_context_t *context, const char *host, bool verify, size_t max_out) {
  mcp__tls_t *tls = mcp__calloc(sizeof *tls);
  if (tls == NULL)
    return NULL;
  tls->host = host;
  mcp__buf_init(&tls->out, max_out, NULL);
  bool done = set_up(tls, context, verify);
  ERR_clear_error();
  if (done)
    return tls;
  mcp__tls_free(tls);
  return NULL;
}

void mcp__tls_free(mcp__tls_t *tls) {
  if (tls == NULL)
    return;
  SSL_free(tls->ssl);
  mcp__buf_deinit(&tls->out);
  mcp__free(tls);
}

int mcp__tls_feed(mcp__tls_t *tls, const char *data, size_t len,
                  bool (*take)(void *arg, const char *plain, size_t len), void *arg) {
  char plain[MCP__TLS_RECORD];
  size_t got;
  if (tls->fault != MCP__TLS_OK)
    return MCP_ETLS;
  tls->in = data;
  tls->in_len = len;
  int status = tls->open ? 0 : do_handshake(tls), result = 1;
  bool wanted = status == 0 && tls->open;
  while (wanted) {
    ERR_clear_error();
    bool secret = tls->secret; /* take may reset it */
    result = SSL_read_ex(tls->ssl, plain, sizeof plain, &got);
    wanted = result == 1 && take(arg, plain, got);
    if (secret && result == 1)
      OPENSSL_cleanse(plain, got);
  }
  if (result != 1)
    status = handle_ssl_error(tls, result);
  tls->in_len = 0;
  ERR_clear_error();
  return status;
}

void mcp__tls_set_secret(mcp__tls_t *tls, bool on) {
  tls->secret = on;
  if (on)
    SSL_set_options(tls->ssl, SSL_OP_CLEANSE_PLAINTEXT);
  else
    SSL_clear_options(tls->ssl, SSL_OP_CLEANSE_PLAINTEXT);
}

int mcp__tls_write(mcp__tls_t *tls, mcp__buf_t *plain) {
  size_t done;
  if (!tls->open || plain->len == 0)
    return 0;
  ERR_clear_error();
  int result = SSL_write_ex(tls->ssl, plain->data, plain->len, &done);
  plain->len = 0;
  if (result == 1)
    return 0;
  handle_ssl_error(tls, result);
  ERR_clear_error();
  return tls->fault != MCP__TLS_OK ? MCP_ETLS
                                   : fail(tls, MCP__TLS_FAILED, "%s", "cannot write to the connection");
}

void mcp__tls_close(mcp__tls_t *tls) {
  if (tls->open && tls->fault == MCP__TLS_OK && (SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN) == 0)
    SSL_shutdown(tls->ssl);
  ERR_clear_error();
}
