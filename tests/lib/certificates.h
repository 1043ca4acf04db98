/* certificates.h: a certificate authority for tests, made anew each time. */
#ifndef TEST_CERTIFICATES_H
#define TEST_CERTIFICATES_H

/* Writes PEM files into a directory that is there; aborts where it cannot:
 *
 *   ca.pem         the authority that a client trusts
 *   good.pem       for localhost, 127.0.0.1 and ::1, and behind it the one between it and the authority
 *   expired.pem    the same, until yesterday
 *   not_yet_valid.pem      the same, from tomorrow on
 *   other_host.pem  for elsewhere.example
 *   wildcard.pem       for *.star.example and a*.half.example
 *   bad_ip.pem        for an IP address of one byte, which there is not
 *   self_signed.pem        for localhost, signed by itself
 *   key.pem        the private key of all of these
 *   other.key.pem  that of none; locked.key.pem: key.pem with a password */
void make_certificates(const char *dir);
void remove_certificates(const char *dir); /* and the directory */

#endif
