/* buf.c: see buf.h. */
#include "base/buf.h"

#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

enum { FIRST_CAP = 256 };

void mcp__buf_init(mcp__buf_t *buf, size_t max, const mcp__buf_quota_t *quota) {
  *buf = (mcp__buf_t){.max = max, .quota = quota};
}

static void free_data(const mcp__buf_t *buf) {
  if (buf->wipe && buf->cap > 0)
    OPENSSL_cleanse(buf->data, buf->cap);
  mcp__free(buf->data);
}

void mcp__buf_deinit(mcp__buf_t *buf) {
  free_data(buf);
  *buf = (mcp__buf_t){.max = buf->max, .quota = buf->quota, .wipe = buf->wipe};
}

/* realloc() would not wipe the old memory */
static char *resize(const mcp__buf_t *buf, size_t cap) {
  char *data = buf->wipe ? mcp__malloc(cap) : mcp__realloc(buf->data, cap);
  if (!buf->wipe || data == NULL)
    return data;
  if (buf->len > 0)
    memcpy(data, buf->data, buf->len);
  free_data(buf);
  return data;
}

int mcp__buf_grow(mcp__buf_t *buf, size_t extra) {
  assert(buf->len <= buf->cap && buf->len <= buf->max && (buf->data != NULL) == (buf->cap > 0));
  if (extra > buf->max - buf->len)
    return MCP_ETOOBIG;
  size_t need = buf->len + extra;
  size_t cap = buf->cap < FIRST_CAP ? FIRST_CAP : buf->cap * 2;
  if (cap > buf->max)
    cap = buf->max;
  if (cap < need)
    cap = need;
  const mcp__buf_quota_t *quota = cap > MCP__BUF_QUOTA_FROM_BYTES ? buf->quota : NULL;
  if (quota != NULL && !quota->has_room(cap - buf->cap, quota->arg))
    return MCP_ELIMIT;
  char *data = resize(buf, cap);
  if (data == NULL)
    return UV_ENOMEM;
  buf->data = data;
  buf->cap = cap;
  return 0;
}

int mcp__buf_printf(mcp__buf_t *buf, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  size_t room = buf->cap - buf->len;
  size_t len = (size_t)vsnprintf(room > 0 ? buf->data + buf->len : NULL, room, format, args);
  int status = len < room ? 0 : mcp__buf_reserve(buf, len + 1); /* vsnprintf also writes a NUL */
  if (status == 0 && len >= room)
    vsnprintf(buf->data + buf->len, len + 1, format, again);
  if (status == 0)
    buf->len += len;
  va_end(again);
  va_end(args);
  return status;
}

/* The character after the backslash: a letter, 'u' for \u00XX, 0 where no escape is needed (RFC 8259 section
 * 7). */
static const char escapes[256] = {'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b',         't',          'n', 'u',
                                  'f', 'r', 'u', 'u', 'u', 'u', 'u', 'u', 'u',         'u',          'u', 'u',
                                  'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', ['"'] = '"', ['\\'] = '\\'};

static char *append_escape(char *to, unsigned char byte) {
  static const char hex[] = "0123456789abcdef";
  *to++ = '\\';
  *to++ = escapes[byte];
  if (escapes[byte] == 'u') {
    *to++ = '0';
    *to++ = '0';
    *to++ = hex[byte >> 4];
    *to++ = hex[byte & 15];
  }
  return to;
}

int mcp__buf_thousandths(mcp__buf_t *buf, uint64_t count) {
  return mcp__buf_printf(buf, "%" PRIu64 ".%03u", count / 1000, (unsigned)(count % 1000));
}

/* Of eight bytes, the lowest in the lowest bits: the lowest bit that is set is the high bit of the first byte
 * that needs an escape, because it is below 0x20, a quote or a backslash; 0: none does. Only a borrow from
 * that byte can set further bits. A byte of 0x80 or more never needs one. */
static uint64_t escape_bits(uint64_t bytes) {
  const uint64_t ones = UINT64_C(0x0101010101010101);
  uint64_t quotes = bytes ^ ones * '"', backslashes = bytes ^ ones * '\\';
  return ((bytes - ones * 0x20) | (quotes - ones) | (backslashes - ones)) & ~bytes & ones * 0x80;
}

/* Copies len bytes, escaped; there is room for the longest result. Returns its end. */
static char *escape(char *to, const char *text, size_t len) {
  uint64_t bytes;
  size_t i = 0;
  while (len - i >= sizeof bytes) {
    memcpy(&bytes, text + i, sizeof bytes);
    memcpy(to, &bytes, sizeof bytes);
    uint64_t found = escape_bits(le64toh(bytes));
    size_t plain = found == 0 ? sizeof bytes : (size_t)__builtin_ctzll(found) / 8;
    i += plain;
    to += plain;
    if (found != 0)
      to = append_escape(to, (unsigned char)text[i++]);
  }
  for (; i < len; i++) {
    unsigned char byte = (unsigned char)text[i];
    if (escapes[byte] == 0)
      *to++ = (char)byte;
    else
      to = append_escape(to, byte);
  }
  return to;
}

int mcp__buf_json_string(mcp__buf_t *buf, const char *text, size_t len) {
  enum { STEP = 4096, WORST = 6 }; /* reserve step by step: a long text is not reserved sixfold */
  int status = mcp__buf_append(buf, "\"", 1);
  while (status == 0 && len > 0) {
    size_t step = len < STEP ? len : STEP;
    status = mcp__buf_reserve(buf, step * WORST);
    if (status != 0)
      break;
    buf->len = (size_t)(escape(buf->data + buf->len, text, step) - buf->data);
    assert(buf->len <= buf->cap);
    text += step;
    len -= step;
  }
  return status == 0 ? mcp__buf_append(buf, "\"", 1) : status;
}

void mcp__buf_consume(mcp__buf_t *buf, size_t len) {
  assert(len <= buf->len);
  buf->len -= len;
  if (buf->len > 0)
    memmove(buf->data, buf->data + len, buf->len);
}

void mcp__buf_clear(mcp__buf_t *buf, size_t keep) {
  if (buf->cap > keep)
    mcp__buf_deinit(buf);
  buf->len = 0;
}

void mcp__buf_swap(mcp__buf_t *a, mcp__buf_t *b) {
  mcp__buf_t old = *a;
  *a = (mcp__buf_t){b->data, b->len, b->cap, a->max, a->quota, a->wipe};
  *b = (mcp__buf_t){old.data, old.len, old.cap, b->max, b->quota, b->wipe};
}
