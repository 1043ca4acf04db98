/* test_tls.c: a client and a server that exchange their bytes through two buffers. */
#include "transport/tls.h"

#include "certificates.h"
#include "leaks.h"
#include "out_of_memory.h"

#include <criterion/criterion.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { MAX_OUT = 1 << 30, LARGE = 3 << 20 };

static char dir[] = "/tmp/test_tls.XXXXXX";

static const char *path(const char *name) {
  static char paths[4][256];
  static int next;
  char *made = paths[next++ % 4];
  snprintf(made, sizeof paths[0], "%s/%s", dir, name);
  return made;
}

static void make_files(void) {
  cr_assert_not_null(mkdtemp(dir));
  make_certificates(dir);
}

static void remove_files(void) {
  remove_certificates(dir);
}

TestSuite(tls, .init = make_files, .fini = remove_files);

typedef struct side {
  mcp__tls_context_t *context;
  mcp__tls_t *tls;
  mcp__buf_t plain, received;
  size_t stop_at; /* it wants no more than that; 0: everything */
  int status;     /* of the last feed */
} side_t;

static side_t server, client;

static void open_server(const char *cert, const char *key) {
  char problem[512];
  cr_assert_eq(mcp__tls_server(path(cert), path(key), &server.context, problem, sizeof problem), 0, "%s",
               problem);
  server.tls = mcp__tls_new(server.context, NULL, false, MAX_OUT);
  cr_assert_not_null(server.tls);
}

static void open_client(const char *ca, const char *host, bool verify) {
  char problem[512];
  cr_assert_eq(mcp__tls_client(ca != NULL ? path(ca) : NULL, &client.context, problem, sizeof problem), 0,
               "%s", problem);
  client.tls = mcp__tls_new(client.context, host, verify, MAX_OUT);
  cr_assert_not_null(client.tls);
  cr_expect_gt(client.tls->out.len, 0, "the client speaks first");
}

static void open_both(const char *cert, const char *host) {
  mcp__buf_init(&server.plain, MAX_OUT, NULL);
  mcp__buf_init(&server.received, MAX_OUT, NULL);
  mcp__buf_init(&client.plain, MAX_OUT, NULL);
  mcp__buf_init(&client.received, MAX_OUT, NULL);
  open_server(cert, "key.pem");
  open_client("ca.pem", host, true);
}

static void close_side(side_t *side) {
  mcp__tls_free(side->tls);
  mcp__tls_release(side->context);
  mcp__buf_deinit(&side->plain);
  mcp__buf_deinit(&side->received);
}

static void close_both(void) {
  close_side(&server);
  close_side(&client);
  expect_no_leak();
}

static bool receive(void *arg, const char *plain, size_t len) {
  side_t *side = arg;
  cr_expect_leq(len, MCP__TLS_RECORD);
  cr_assert_eq(mcp__buf_append(&side->received, plain, len), 0);
  return side->stop_at == 0 || side->received.len < side->stop_at;
}

/* Passes the output of one side to the other, in pieces. Returns true if there was any. */
static bool carry(side_t *from, side_t *to, size_t piece) {
  mcp__buf_t bytes = {0};
  mcp__buf_init(&bytes, MAX_OUT, NULL);
  mcp__buf_swap(&bytes, &from->tls->out);
  bool any = bytes.len > 0;
  for (size_t at = 0; at < bytes.len && to->status == 0; at += piece) {
    size_t len = bytes.len - at < piece ? bytes.len - at : piece;
    char *exact = malloc(len); /* what is read beyond its end is found */
    memcpy(exact, bytes.data + at, len);
    to->status = mcp__tls_feed(to->tls, exact, len, receive, to);
    free(exact);
  }
  mcp__buf_deinit(&bytes);
  return any;
}

static void talk(size_t piece) {
  bool any;
  do {
    if (server.tls->fault == MCP__TLS_OK)
      cr_assert_eq(mcp__tls_write(server.tls, &server.plain), 0);
    if (client.tls->fault == MCP__TLS_OK)
      cr_assert_eq(mcp__tls_write(client.tls, &client.plain), 0);
    any = carry(&client, &server, piece);
    any |= carry(&server, &client, piece);
  } while (any);
}

static void say(side_t *side, const char *text) {
  cr_assert_eq(mcp__buf_puts(&side->plain, text), 0);
}

static void expect_received(const side_t *side, const char *text) {
  cr_expect_eq(side->received.len, strlen(text));
  cr_expect(memcmp(side->received.data, text, strlen(text)) == 0);
}

Test(tls, both_ways_in_pieces_of_any_size) {
  static const char *const hosts[] = {"localhost", "127.0.0.1", "::1", "LOCALHOST"};
  for (size_t i = 0; i < 4; i++) {
    open_both("good.pem", hosts[i]);
    say(&client, "waits for the handshake");
    say(&server, "and so does this");
    cr_expect_eq(mcp__tls_write(client.tls, &client.plain), 0);
    cr_expect_gt(client.plain.len, 0);
    talk(i == 0 ? 1 : i == 1 ? 7 : MAX_OUT);
    cr_expect(client.tls->open && server.tls->open);
    cr_expect_eq(client.status, 0, "%s", client.tls->problem);
    expect_received(&server, "waits for the handshake");
    expect_received(&client, "and so does this");
    cr_expect_str_eq(SSL_get_version(client.tls->ssl), "TLSv1.3");
    close_side(&server);
    close_side(&client);
    server = client = (side_t){0};
  }
  expect_no_leak();
}

/* What a name or address is written like in a URL, a certificate and the server's view of it never have. */
Test(tls, a_host_as_certificates_have_it) {
  static const struct {
    const char *host, *told;
  } rows[] = {{"localhost.", "localhost"}, {"LocalHost.", "LocalHost"}, {"::1%lo", ""}, {"127.0.0.1", ""}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    open_both("good.pem", rows[i].host);
    talk(MAX_OUT);
    cr_expect(client.tls->open, "%s: %s", rows[i].host, client.tls->problem);
    const char *told = SSL_get_servername(server.tls->ssl, TLSEXT_NAMETYPE_host_name);
    cr_expect_str_eq(told != NULL ? told : "", rows[i].told);
    close_side(&server);
    close_side(&client);
    server = client = (side_t){0};
  }
  expect_no_leak();
}

Test(tls, a_name_with_a_star) {
  static const struct {
    const char *host;
    bool fits;
  } rows[] = {{"a.star.example", true},
              {"A.Star.Example", true},
              {"star.example", false},
              {"a.b.star.example", false},
              {"xn--bcher-kva.star.example", true},
              {"ab.half.example", false},
              {"a.star.example.evil.example", false}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    open_both("wildcard.pem", rows[i].host);
    talk(MAX_OUT);
    cr_expect_eq(client.tls->open, rows[i].fits, "%s: %s", rows[i].host, client.tls->problem);
    cr_expect_eq(client.tls->fault, rows[i].fits ? MCP__TLS_OK : MCP__TLS_WRONG_NAME);
    close_side(&server);
    close_side(&client);
    server = client = (side_t){0};
  }
  expect_no_leak();
}

Test(tls, large_and_empty) {
  open_both("good.pem", "localhost");
  cr_assert_eq(mcp__buf_reserve(&client.plain, LARGE), 0);
  for (size_t i = 0; i < LARGE; i++)
    client.plain.data[i] = (char)(i * 31 >> 7);
  client.plain.len = LARGE;
  talk(100000);
  cr_assert_eq(server.received.len, LARGE);
  bool same = true;
  for (size_t i = 0; i < LARGE; i++)
    same &= server.received.data[i] == (char)(i * 31 >> 7);
  cr_expect(same);
  cr_expect_eq(mcp__tls_write(client.tls, &client.plain), 0);
  cr_expect_eq(client.tls->out.len, 0, "nothing to say is nothing said");
  cr_expect_eq(mcp__tls_feed(client.tls, "", 0, receive, &client), 0);
  close_both();
}

Test(tls, whoever_wants_no_more_gets_no_more) {
  open_both("good.pem", "localhost");
  talk(MAX_OUT);
  for (int i = 0; i < 3; i++) {
    say(&client, "ten bytes.");
    cr_assert_eq(mcp__tls_write(client.tls, &client.plain), 0);
  }
  server.stop_at = 15;
  carry(&client, &server, MAX_OUT);
  cr_expect_eq(server.received.len, 20);
  close_both();
}

Test(tls, the_end_is_told) {
  open_both("good.pem", "localhost");
  mcp__tls_close(client.tls);
  talk(MAX_OUT);
  say(&client, "bye");
  cr_assert_eq(mcp__tls_write(client.tls, &client.plain), 0);
  mcp__tls_close(client.tls);
  size_t len = client.tls->out.len;
  mcp__tls_close(client.tls);
  cr_expect_eq(client.tls->out.len, len, "once");
  carry(&client, &server, MAX_OUT);
  expect_received(&server, "bye");
  cr_expect_eq(server.status, UV_EOF);
  close_both();
}

Test(tls, version_1_2_works_and_1_1_does_not) {
  open_both("good.pem", "localhost");
  mcp__tls_free(client.tls);
  SSL_CTX_set_max_proto_version(client.context, TLS1_2_VERSION);
  client.tls = mcp__tls_new(client.context, "localhost", true, MAX_OUT);
  say(&client, "old");
  talk(MAX_OUT);
  expect_received(&server, "old");
  cr_expect_str_eq(SSL_get_version(server.tls->ssl), "TLSv1.2");
  mcp__tls_free(client.tls);
  mcp__tls_free(server.tls);
  SSL_CTX_set_security_level(client.context, 0);
  SSL_CTX_set_min_proto_version(client.context, TLS1_VERSION);
  SSL_CTX_set_max_proto_version(client.context, TLS1_1_VERSION);
  server.tls = mcp__tls_new(server.context, NULL, false, MAX_OUT);
  client.tls = mcp__tls_new(client.context, "localhost", true, MAX_OUT);
  talk(MAX_OUT);
  cr_expect_eq(server.status, MCP_ETLS);
  cr_expect_eq(server.tls->fault, MCP__TLS_FAILED);
  cr_expect_eq(client.status, MCP_ETLS);
  cr_expect_eq(client.tls->fault, MCP__TLS_REFUSED);
  close_both();
}

/* ---- certificates ------------------------------------------------------------------------------------ */

static void expect_fault(const char *cert, const char *ca, const char *host, mcp__tls_fault_t fault,
                         const char *words) {
  open_both(cert, host);
  if (ca == NULL) {
    close_side(&client);
    client = (side_t){0};
    mcp__buf_init(&client.plain, MAX_OUT, NULL);
    mcp__buf_init(&client.received, MAX_OUT, NULL);
    open_client("self_signed.pem", host, true); /* trusts somebody else */
  }
  say(&client, "secret");
  talk(MAX_OUT);
  cr_expect_eq(client.status, MCP_ETLS);
  cr_expect_eq(client.tls->fault, fault, "%s", client.tls->problem);
  cr_expect_not_null(strstr(client.tls->problem, words), "%s", client.tls->problem);
  cr_expect_eq(server.received.len, 0, "an unverified peer gets no data");
  cr_expect_eq(server.status, MCP_ETLS, "the server gets the reason");
  cr_expect_eq(server.tls->fault, MCP__TLS_REFUSED, "%s", server.tls->problem);
  cr_expect_eq(mcp__tls_feed(client.tls, "x", 1, receive, &client), MCP_ETLS, "it cannot be used again");
  close_side(&server);
  close_side(&client);
  server = client = (side_t){0};
}

Test(tls, certificates_that_are_not_accepted) {
  expect_fault("expired.pem", "ca.pem", "localhost", MCP__TLS_EXPIRED, "has expired");
  expect_fault("not_yet_valid.pem", "ca.pem", "localhost", MCP__TLS_NOT_YET, "clocks");
  expect_fault("other_host.pem", "ca.pem", "localhost", MCP__TLS_WRONG_NAME, "is for elsewhere.example");
  expect_fault("good.pem", "ca.pem", "127.0.0.2", MCP__TLS_WRONG_NAME, "is for localhost, 127.0.0.1, ::1");
  expect_fault("good.pem", "ca.pem", "example.org", MCP__TLS_WRONG_NAME, "is for localhost, 127.0.0.1, ::1");
  expect_fault("bad_ip.pem", "ca.pem", "localhost", MCP__TLS_WRONG_NAME, "is for ?,");
  expect_fault("self_signed.pem", "ca.pem", "localhost", MCP__TLS_UNTRUSTED, "ICCM_TLS_CA");
  expect_fault("good.pem", NULL, "localhost", MCP__TLS_UNTRUSTED, "ICCM_TLS_CA");
  expect_no_leak();
}

Test(tls, whoever_does_not_look_connects_to_anybody) {
  static const char *const certs[] = {"expired.pem", "other_host.pem", "self_signed.pem"};
  for (size_t i = 0; i < 3; i++) {
    open_both(certs[i], "localhost");
    mcp__tls_free(client.tls);
    client.tls = mcp__tls_new(client.context, "localhost", false, MAX_OUT);
    say(&client, "whoever you are");
    talk(MAX_OUT);
    expect_received(&server, "whoever you are");
    close_side(&server);
    close_side(&client);
    server = client = (side_t){0};
  }
  expect_no_leak();
}

Test(tls, described) {
  char text[512];
  open_both("good.pem", "localhost");
  talk(MAX_OUT);
  mcp__tls_describe(client.tls, text, sizeof text);
  cr_expect_eq(strncmp(text, "TLSv1.3, TLS_", 13), 0, "%s", text);
  cr_expect_not_null(
      strstr(text,
             "; its certificate is for localhost, 127.0.0.1, ::1, signed by Test Office, valid until 20"),
      "%s", text);
  mcp__tls_describe(server.tls, text, sizeof text);
  cr_expect_null(strstr(text, "certificate"), "%s", text);
  close_both();
}

/* ---- junk ---------------------------------------------------------------------------------------------- */

Test(tls, a_peer_that_speaks_something_else) {
  static const char *const junk[] = {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n",
                                     "HTTP/1.1 400 Bad Request\r\n\r\n", "*1\r\n$4\r\nPING\r\n",
                                     "\xff\xff\xff\xff\xff\xff"};
  for (size_t i = 0; i < sizeof junk / sizeof *junk; i++) {
    open_both("good.pem", "localhost");
    cr_expect_eq(mcp__tls_feed(server.tls, junk[i], strlen(junk[i]), receive, &server), MCP_ETLS);
    cr_expect_eq(server.tls->fault, MCP__TLS_OTHER_PROTOCOL, "%zu: %s", i, server.tls->problem);
    cr_expect_eq(mcp__tls_feed(client.tls, junk[i], strlen(junk[i]), receive, &client), MCP_ETLS);
    cr_expect_eq(client.tls->fault, MCP__TLS_OTHER_PROTOCOL, "%zu: %s", i, client.tls->problem);
    cr_expect_not_null(strstr(client.tls->problem, "use ws://"), "%s", client.tls->problem);
    close_side(&server);
    close_side(&client);
    server = client = (side_t){0};
  }
  expect_no_leak();
}

/* A peer that has begun a TLS handshake gets no plain text response. */
Test(tls, junk_amid_the_handshake) {
  static const char junk[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  open_both("good.pem", "localhost");
  carry(&client, &server, MAX_OUT);
  const unsigned char *record = (const unsigned char *)server.tls->out.data; /* its hello */
  size_t first = 5 + ((size_t)record[3] << 8 | record[4]);
  cr_assert_leq(first, server.tls->out.len);
  cr_expect_eq(mcp__tls_feed(client.tls, server.tls->out.data, first, receive, &client), 0);
  cr_expect_eq(mcp__tls_feed(client.tls, junk, sizeof junk - 1, receive, &client), MCP_ETLS);
  cr_expect_eq(client.tls->fault, MCP__TLS_FAILED, "%s", client.tls->problem);
  cr_expect_eq(mcp__tls_feed(server.tls, junk, sizeof junk - 1, receive, &server), MCP_ETLS);
  cr_expect_eq(server.tls->fault, MCP__TLS_FAILED, "%s", server.tls->problem);
  close_both();
}

Test(tls, a_record_that_was_changed_on_the_way) {
  open_both("good.pem", "localhost");
  talk(MAX_OUT);
  say(&client, "pay ten");
  cr_assert_eq(mcp__tls_write(client.tls, &client.plain), 0);
  client.tls->out.data[client.tls->out.len - 1] ^= 1;
  carry(&client, &server, MAX_OUT);
  cr_expect_eq(server.status, MCP_ETLS);
  cr_expect_eq(server.tls->fault, MCP__TLS_FAILED);
  cr_expect_eq(server.received.len, 0);
  close_both();
}

/* ---- peers that know more of TLS than is good ------------------------------------------------------------
 */

/* Each asks for an answer, of which there is one at the most for what was read at once. */
Test(tls, keys_that_change_all_the_time) {
  open_both("good.pem", "localhost");
  talk(MAX_OUT);
  for (int i = 0; i < 1000; i++) {
    cr_assert_eq(SSL_key_update(client.tls->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    cr_assert_eq(SSL_do_handshake(client.tls->ssl), 1);
  }
  size_t sent = client.tls->out.len;
  carry(&client, &server, MAX_OUT);
  cr_expect_eq(server.status, 0, "%s", server.tls->problem);
  cr_expect_leq(server.tls->out.len, sent, "a peer cannot make the server send more than it receives");
  say(&client, "still");
  say(&server, "here");
  talk(MAX_OUT);
  expect_received(&server, "still");
  expect_received(&client, "here");
  close_both();
}

Test(tls, nobody_renegotiates) {
  side_t *const sides[] = {&client, &server};
  for (size_t i = 0; i < 2; i++) {
    open_both("good.pem", "localhost");
    mcp__tls_free(client.tls);
    SSL_CTX_set_max_proto_version(client.context, TLS1_2_VERSION);
    client.tls = mcp__tls_new(client.context, "localhost", true, MAX_OUT);
    talk(MAX_OUT);
    side_t *one = sides[i], *other = sides[!i];
    SSL_clear_options(one->tls->ssl, SSL_OP_NO_RENEGOTIATION);
    cr_assert_eq(SSL_renegotiate(one->tls->ssl), 1);
    SSL_do_handshake(one->tls->ssl);
    talk(MAX_OUT);
    cr_expect_eq(SSL_num_renegotiations(other->tls->ssl), 0);
    cr_expect_eq(one->status, MCP_ETLS);
    cr_expect_not_null(strstr(one->tls->problem, "no renegotiation"), "%s", one->tls->problem);
    cr_expect_eq(other->tls->fault, MCP__TLS_REFUSED, "who had asked ends it: %s", other->tls->problem);
    close_side(&server);
    close_side(&client);
    server = client = (side_t){0};
  }
  expect_no_leak();
}

/* ---- files --------------------------------------------------------------------------------------------- */

static void expect_refused(const char *cert, const char *key, const char *words) {
  mcp__tls_context_t *context;
  char problem[512];
  cr_expect_eq(mcp__tls_server(path(cert), path(key), &context, problem, sizeof problem), UV_EINVAL);
  cr_expect_not_null(strstr(problem, words), "%s", problem);
}

Test(tls, files_that_cannot_be_used) {
  mcp__tls_context_t *context;
  char problem[512];
  expect_refused("absent.pem", "key.pem", "absent.pem\": no such file");
  expect_refused("key.pem", "key.pem", "PEM certificate");
  expect_refused("good.pem/within", "key.pem", "not a directory");
  expect_refused(".", "key.pem", "PEM certificate");
  expect_refused("good.pem", "absent.pem", "absent.pem\": no such file");
  expect_refused("good.pem", "good.pem", "private key");
  expect_refused("good.pem", "other.key.pem", "matching");
  expect_refused("good.pem", "locked.key.pem", "without a password");
  expect_refused("good.pem", ".", "private key");
  cr_expect_eq(mcp__tls_client(path("key.pem"), &context, problem, sizeof problem), UV_EINVAL);
  cr_expect_not_null(strstr(problem, "PEM certificates"), "%s", problem);
  cr_expect_eq(mcp__tls_client(path("absent.pem"), &context, problem, sizeof problem), UV_EINVAL);
  cr_expect_not_null(strstr(problem, "absent.pem\": no such file"), "%s", problem);
  cr_expect_eq(mcp__tls_server(path("expired.pem"), path("key.pem"), &context, problem, sizeof problem), 0);
  cr_expect_not_null(strstr(problem, "has expired"), "%s", problem);
  mcp__tls_release(context);
  expect_no_leak();
}

/* ---- memory -------------------------------------------------------------------------------------------- */

Test(tls, without_memory) {
  use_failing_allocator();
  memory.allowed = 1000000;
  open_both("good.pem", "localhost");
  bool made = false;
  for (long allowed = 0; !made; allowed++) {
    memory.allowed = allowed;
    mcp__tls_t *tls = mcp__tls_new(client.context, "localhost", true, MAX_OUT);
    made = tls != NULL;
    mcp__tls_free(tls);
  }
  memory.allowed = 0;
  carry(&client, &server, MAX_OUT); /* the answer has no place */
  cr_expect_eq(server.status, MCP_ETLS);
  cr_expect_str_eq(server.tls->problem, "out of memory");
  memory.allowed = 1000000;
  close_both();
  cr_expect_eq(memory.live, 0);
}
