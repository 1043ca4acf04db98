#include "certificates.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(condition) ((condition) ? (void)0 : must_not_fail(#condition))

enum { DAY_S = 86400 };

static _Noreturn void must_not_fail(const char *what) {
  fprintf(stderr, "certificates.c: %s\n", what);
  abort();
}

static FILE *create(const char *dir, const char *name) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  FILE *file = fopen(path, "w");
  MUST(file != NULL);
  return file;
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value) {
  X509V3_CTX parties;
  X509V3_set_ctx(&parties, issuer, certificate, NULL, NULL, 0);
  X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &parties, nid, value);
  MUST(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

/* issuer NULL: self-signed. names NULL: a CA certificate. */
static X509 *make(const char *subject, const char *names, X509 *issuer, EVP_PKEY *key, int from_days,
                  int until_days) {
  static long serial;
  X509 *made = X509_new();
  X509_NAME *name = X509_get_subject_name(made);
  X509_set_version(made, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(made), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(made), (long)from_days * DAY_S);
  X509_gmtime_adj(X509_getm_notAfter(made), (long)until_days * DAY_S);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)subject, -1, -1, 0);
  X509_set_issuer_name(made, issuer != NULL ? X509_get_subject_name(issuer) : name);
  X509_set_pubkey(made, key);
  /* All extensions that RFC 5280 requires: newer clients check them. */
  add_extension(made, issuer, NID_basic_constraints, names == NULL ? "critical,CA:TRUE" : "CA:FALSE");
  add_extension(made, issuer, NID_key_usage,
                names == NULL ? "critical,keyCertSign" : "critical,digitalSignature");
  add_extension(made, issuer, NID_subject_key_identifier, "hash");
  if (issuer != NULL)
    add_extension(made, issuer, NID_authority_key_identifier, "keyid:always");
  if (names != NULL)
    add_extension(made, issuer, NID_subject_alt_name, names);
  MUST(X509_sign(made, key, EVP_sha256()) > 0);
  return made;
}

static void write_chain(const char *dir, const char *file_name, X509 *first, X509 *second) {
  FILE *file = create(dir, file_name);
  MUST(PEM_write_X509(file, first) == 1 && (second == NULL || PEM_write_X509(file, second) == 1));
  fclose(file);
}

static void write_key(const char *dir, const char *file_name, EVP_PKEY *key, const char *password) {
  FILE *file = create(dir, file_name);
  const EVP_CIPHER *cipher = password != NULL ? EVP_aes_128_cbc() : NULL;
  MUST(PEM_write_PrivateKey(file, key, cipher, (const unsigned char *)password,
                            password != NULL ? (int)strlen(password) : 0, NULL, NULL) == 1);
  fclose(file);
}

void make_certificates(const char *dir) {
  static const char here[] = "DNS:localhost,IP:127.0.0.1,IP:::1";
  static const struct {
    const char *file, *names;
    int from_days, until_days;
  } leaves[] = {{"good.pem", here, -1, 10},
                {"expired.pem", here, -10, -1},
                {"not_yet_valid.pem", here, 1, 10},
                {"other_host.pem", "DNS:elsewhere.example", -1, 10},
                {"wildcard.pem", "DNS:*.star.example,DNS:a*.half.example", -1, 10},
                {"bad_ip.pem", "DER:30:03:87:01:7f", -1, 10}};
  EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
  MUST(key != NULL && other != NULL);
  X509 *authority = make("Test Authority", NULL, NULL, key, -1, 10);
  X509 *between = make("Test Office", NULL, authority, key, -1, 10);
  write_chain(dir, "ca.pem", authority, NULL);
  for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) {
    X509 *leaf = make("a leaf", leaves[i].names, between, key, leaves[i].from_days, leaves[i].until_days);
    write_chain(dir, leaves[i].file, leaf, between);
    X509_free(leaf);
  }
  X509 *own = make("localhost", here, NULL, key, -1, 10);
  write_chain(dir, "self_signed.pem", own, NULL);
  write_key(dir, "key.pem", key, NULL);
  write_key(dir, "other.key.pem", other, NULL);
  write_key(dir, "locked.key.pem", key, "secret");
  X509_free(own);
  X509_free(between);
  X509_free(authority);
  EVP_PKEY_free(other);
  EVP_PKEY_free(key);
}

void remove_certificates(const char *dir) {
  static const char *const names[] = {
      "ca.pem",     "good.pem",     "expired.pem", "not_yet_valid.pem", "other_host.pem", "self_signed.pem",
      "bad_ip.pem", "wildcard.pem", "key.pem",     "other.key.pem",     "locked.key.pem"};
  char path[512];
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(path, sizeof path, "%s/%s", dir, names[i]);
    remove(path);
  }
  remove(dir);
}
