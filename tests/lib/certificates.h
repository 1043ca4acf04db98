/* certificates.h: creates a certificate authority and certificates for tests. */
#ifndef TEST_CERTIFICATES_H
#define TEST_CERTIFICATES_H

/* Writes PEM files into an existing directory; aborts on failure:
 *
 *   ca.pem             the root certificate
 *   good.pem           for localhost, 127.0.0.1 and ::1, followed by the intermediate certificate
 *   expired.pem        as good.pem, expired yesterday
 *   not_yet_valid.pem  as good.pem, valid from tomorrow
 *   other_host.pem     for elsewhere.example
 *   wildcard.pem       for *.star.example and a*.half.example
 *   bad_ip.pem         for an invalid IP address of one byte
 *   self_signed.pem    for localhost, self-signed
 *   key.pem            the private key of all certificates above
 *   other.key.pem      a key that matches none of them
 *   locked.key.pem     key.pem, encrypted with a password */
void make_certificates(const char *dir);
void remove_certificates(const char *dir); /* removes the directory too */

#endif
