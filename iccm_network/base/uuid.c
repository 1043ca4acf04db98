/* uuid.c: UUIDs of version 7 and version 5 (RFC 9562).
 *
 * Version 7 holds the milliseconds, 12 bits of the fraction of the millisecond (section 6.2, method 3) and 62
 * random bits. The first 60 bits are a clock with ticks of 244 ns; if the clock has not advanced, the last
 * tick is incremented. So the ids of this process are strictly increasing across all threads. Without kernel
 * randomness the 62 bits come from the clock and the process id: still unique in this process, and nearly so
 * elsewhere. */
#include "base/random.h"
#include "iccm_network.h"
#include "iccm_service.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { UUID_BYTES = 16, SHA1_BYTES = 20 };

static const char digits[] = "0123456789abcdef";

static bool is_dash_at(size_t i) {
  return i == 8 || i == 13 || i == 18 || i == 23;
}

static void to_text(const uint8_t bytes[UUID_BYTES], char uuid[MCP_UUID_SIZE]) {
  for (size_t i = 0, nibble = 0; i < MCP_UUID_SIZE - 1; i++) {
    if (is_dash_at(i)) {
      uuid[i] = '-';
      continue;
    }
    uuid[i] = digits[nibble % 2 == 0 ? bytes[nibble / 2] >> 4 : bytes[nibble / 2] & 15];
    nibble++;
  }
  uuid[MCP_UUID_SIZE - 1] = '\0';
}

static int value_of(char digit) {
  if (digit >= '0' && digit <= '9')
    return digit - '0';
  if (digit >= 'A' && digit <= 'F')
    return digit - 'A' + 10;
  return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static int from_text(const char *text, size_t len, uint8_t bytes[UUID_BYTES]) {
  if (len != MCP_UUID_SIZE - 1)
    return -EINVAL;
  for (size_t i = 0, nibble = 0; i < len; i++) {
    int value = value_of(text[i]);
    if (is_dash_at(i) ? text[i] != '-' : value < 0)
      return -EINVAL;
    if (is_dash_at(i))
      continue;
    bytes[nibble / 2] = (uint8_t)(nibble % 2 == 0 ? value << 4 : bytes[nibble / 2] | value);
    nibble++;
  }
  return 0;
}

static void set_version(uint8_t bytes[UUID_BYTES], unsigned version) {
  bytes[6] = (uint8_t)(version << 4 | (bytes[6] & 0x0f));
  bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3f)); /* the variant of RFC 9562 */
}

/* Milliseconds << 12 | 4096ths of the millisecond, never the same value twice. */
static uint64_t next_tick(void) {
  static _Atomic uint64_t last;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t ns = (uint64_t)now.tv_nsec, ms = (uint64_t)now.tv_sec * 1000 + ns / 1000000;
  uint64_t clock = ms << 12 | (ns % 1000000 * 4096 / 1000000), before = atomic_load(&last), tick;
  do
    tick = clock > before ? clock : before + 1;
  while (!atomic_compare_exchange_weak(&last, &before, tick));
  return tick;
}

static uint64_t random_bits(uint64_t tick) {
  uint64_t bits;
  if (mcp__random_bytes(&bits, sizeof bits))
    return bits;
  bits = tick ^ (uint64_t)getpid() << 40; /* mixed with the finalizer of SplitMix64 */
  bits = (bits ^ bits >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  bits = (bits ^ bits >> 27) * UINT64_C(0x94d049bb133111eb);
  return bits ^ bits >> 31;
}

void mcp_uuid_new(char uuid[MCP_UUID_SIZE]) {
  uint64_t tick = next_tick(), low = random_bits(tick);
  uint64_t high = tick >> 12 << 16 | (tick & 0xfff);
  uint8_t bytes[UUID_BYTES];
  for (size_t i = 0; i < 8; i++) {
    bytes[i] = (uint8_t)(high >> (56 - 8 * i));
    bytes[8 + i] = (uint8_t)(low >> (56 - 8 * i));
  }
  set_version(bytes, 7);
  to_text(bytes, uuid);
}

int mcp_uuid_parse(const char *text, size_t len, char uuid[MCP_UUID_SIZE]) {
  uint8_t bytes[UUID_BYTES];
  int status = from_text(text, len, bytes);
  if (status == 0)
    to_text(bytes, uuid);
  return status;
}

/* Precise to the millisecond: the following bits are a fraction here, but random bits in other
 * implementations. */
int mcp_uuid_time_us(const char *uuid, int64_t *us) {
  uint8_t bytes[UUID_BYTES];
  if (from_text(uuid, strnlen(uuid, MCP_UUID_SIZE), bytes) != 0 || bytes[6] >> 4 != 7 || bytes[8] >> 6 != 2)
    return -EINVAL;
  int64_t ms = 0;
  for (size_t i = 0; i < 6; i++)
    ms = ms << 8 | bytes[i];
  *us = ms * 1000;
  return 0;
}

static bool sha1(const uint8_t space[UUID_BYTES], const void *name, size_t len, uint8_t digest[SHA1_BYTES]) {
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  bool fine = context != NULL && EVP_DigestInit_ex(context, EVP_sha1(), NULL) == 1 &&
              EVP_DigestUpdate(context, space, UUID_BYTES) == 1 &&
              EVP_DigestUpdate(context, name, len) == 1 && EVP_DigestFinal_ex(context, digest, NULL) == 1;
  EVP_MD_CTX_free(context);
  return fine;
}

int mcp_uuid_v5(const char *space, const void *name, size_t len, char uuid[MCP_UUID_SIZE]) {
  uint8_t bytes[UUID_BYTES], digest[SHA1_BYTES];
  if (from_text(space, strnlen(space, MCP_UUID_SIZE), bytes) != 0)
    return -EINVAL;
  if (!sha1(bytes, name, len, digest))
    return -ENOMEM; /* UNTESTED: OpenSSL has its own allocator */
  set_version(digest, 5);
  to_text(digest, uuid);
  return 0;
}
