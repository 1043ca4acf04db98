/* words.c: see words.h. ASCII texts, the most frequent ones, have a fast path; all others use utf8proc's
 * Unicode tables. Time and memory are linear in the length of the text. */
#include "words.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum {
  WORD_MAX = 255,
  FOLDED_MAX = 260000,
  SHORT_MAX = 255,
  MARKED_MAX = 64,
  SIGMA = 0x3c3,
  FINAL_SIGMA = 0x3c2
};

typedef struct range {
  utf8proc_int32_t first, last;
} range_t;

#define RANGE(first, last) {0x##first, 0x##last},
static const range_t accents[] = {
#define WORDS_ACCENTS
#include "words_ranges.inc"
#undef WORDS_ACCENTS
};
static const range_t separators[] = {
#define WORDS_SEPARATORS
#include "words_ranges.inc"
#undef WORDS_SEPARATORS
};
static const range_t singles[] = {
#define WORDS_SINGLES
#include "words_ranges.inc"
#undef WORDS_SINGLES
};
static const range_t marked[] = {
#define WORDS_MARKED
#include "words_ranges.inc"
#undef WORDS_MARKED
};
#undef RANGE
#define IS_IN(ranges, c) is_in(ranges, sizeof(ranges) / sizeof *(ranges), c)

static bool is_in(const range_t *ranges, size_t count, utf8proc_int32_t c) {
  size_t low = 0, high = count; /* the first range that ends at or after c */
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (ranges[middle].last < c)
      low = middle + 1;
    else
      high = middle;
  }
  return low < count && ranges[low].first <= c;
}

/* ---- Writing words ---- */

typedef struct plain {
  char *out;
  size_t len, letters; /* letters: length of the current word; 0: none */
} plain_t;

/* Appends a letter of a word. */
static void write_letter(plain_t *plain, const void *bytes, size_t len) {
  if (plain->letters == WORD_MAX)
    plain->letters = 0;
  if (plain->letters++ == 0)
    plain->out[plain->len++] = ' ';
  memcpy(plain->out + plain->len, bytes, len);
  plain->len += len;
}

static char *end_plain(plain_t *plain, size_t *len) {
  plain->out[plain->len++] = ' ';
  plain->out[plain->len] = '\0';
  *len = plain->len;
  return plain->out;
}

/* ---- ASCII ---- */

static bool is_ascii(const char *bytes, size_t len) {
  unsigned char all = 0;
  for (size_t i = 0; i < len; i++)
    all |= (unsigned char)bytes[i];
  return all < 0x80;
}

static char *plain_of_ascii(const char *bytes, size_t count, size_t *len) {
  plain_t plain = {.out = malloc(2 * count + 2)};
  if (plain.out == NULL)
    return NULL;
  for (size_t i = 0; i < count; i++) {
    char c = bytes[i];
    if (c >= 'A' && c <= 'Z')
      c = (char)(c - 'A' + 'a');
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
      write_letter(&plain, &c, 1);
    else
      plain.letters = 0;
  }
  return end_plain(&plain, len);
}

/* ---- Unicode ---- */

/* Invalid UTF-8 counts as a blank. */
static size_t next_char(mcp_text_t text, size_t at, utf8proc_int32_t *c) {
  utf8proc_ssize_t len =
      utf8proc_iterate((const utf8proc_uint8_t *)text.ptr + at, (utf8proc_ssize_t)(text.len - at), c);
  if (len > 0)
    return (size_t)len;
  *c = ' ';
  return 1;
}

static bool is_long(mcp_text_t given) {
  size_t chars = 0;
  for (size_t at = 0; at < given.len && chars <= SHORT_MAX; chars++) {
    utf8proc_int32_t c;
    at += next_char(given, at, &c);
  }
  return chars > SHORT_MAX;
}

/* Step 1 of words.h. NULL: out of memory. */
static utf8proc_uint8_t *limit_marks(mcp_text_t given, size_t max, size_t *len) {
  size_t marks = 0, most = given.len / 4 < max ? given.len : 4 * max;
  bool limits = is_long(given);
  utf8proc_uint8_t *out = malloc(most + most / MARKED_MAX + 1);
  *len = 0;
  for (size_t at = 0, chars = 0; out != NULL && at < given.len && chars < max; chars++) {
    utf8proc_int32_t c;
    at += next_char(given, at, &c);
    if (c >= 0x300 && IS_IN(accents, c))
      continue;
    marks = limits && c >= 0x300 && IS_IN(marked, c) ? marks + 1 : 0;
    if (marks > MARKED_MAX) {
      out[(*len)++] = ' ';
      marks = 1;
    }
    *len += (size_t)utf8proc_encode_char(c, out + *len);
  }
  return out;
}

/* Decomposes the text into *count characters. NULL: out of memory. */
static utf8proc_int32_t *decompose(const utf8proc_uint8_t *text, size_t len, size_t *count) {
  const utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
  utf8proc_ssize_t room = (utf8proc_ssize_t)len, needed = room;
  utf8proc_int32_t *chars = NULL;
  do {
    utf8proc_int32_t *larger = realloc(chars, ((size_t)needed + 1) * sizeof *chars);
    if (larger == NULL) {
      free(chars);
      return NULL;
    }
    chars = larger;
    room = needed;
    needed = utf8proc_decompose(text, (utf8proc_ssize_t)len, chars, room, options);
  } while (needed > room);
  *count = needed > 0 ? (size_t)needed : 0;
  return chars;
}

/* Step 2 of words.h, in place. Returns the number of characters. */
static size_t fold(utf8proc_int32_t *chars, size_t count) {
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    if (chars[i] >= 0x300 && IS_IN(accents, chars[i]))
      continue;
    utf8proc_int32_t c = utf8proc_tolower(chars[i]);
    chars[kept++] = c == FINAL_SIGMA ? SIGMA : c;
  }
  utf8proc_ssize_t composed =
      utf8proc_normalize_utf32(chars, (utf8proc_ssize_t)kept, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  return composed < FOLDED_MAX ? (size_t)(composed > 0 ? composed : 0) : FOLDED_MAX;
}

/* Step 3 of words.h. */
static char *write_words(const utf8proc_int32_t *chars, size_t count, size_t *len) {
  plain_t plain = {.out = malloc(count * 5 + 2)};
  for (size_t i = 0; plain.out != NULL && i < count; i++) {
    utf8proc_uint8_t bytes[4];
    bool single = chars[i] > 0x7f && IS_IN(singles, chars[i]);
    if (single || IS_IN(separators, chars[i]))
      plain.letters = 0;
    if (single || !IS_IN(separators, chars[i]))
      write_letter(&plain, bytes, (size_t)utf8proc_encode_char(chars[i], bytes));
    if (single)
      plain.letters = 0;
  }
  return plain.out != NULL ? end_plain(&plain, len) : NULL;
}

static char *plain_of_unicode(mcp_text_t given, size_t max, size_t *len) {
  size_t bytes = 0, count = 0;
  utf8proc_uint8_t *text = limit_marks(given, max, &bytes);
  utf8proc_int32_t *chars = text != NULL ? decompose(text, bytes, &count) : NULL;
  char *plain = chars != NULL ? write_words(chars, fold(chars, count), len) : NULL;
  free(chars);
  free(text);
  return plain;
}

char *words_plain(mcp_text_t given, size_t max, size_t *len) {
  size_t count = given.len < max ? given.len : max;
  return is_ascii(given.ptr, count) ? plain_of_ascii(given.ptr, count, len)
                                    : plain_of_unicode(given, max, len);
}

/* ---- Searches ---- */

/* Unicode's white space, and NUL. */
static bool is_blank(utf8proc_int32_t c) {
  return c == 0 || (c >= 0x9 && c <= 0xd) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

/* Returns the end of the piece that begins at at; *next is after the blank that ends it. */
static size_t end_of_piece(mcp_text_t search, size_t at, size_t *next) {
  for (*next = at; at < search.len; at = *next) {
    utf8proc_int32_t c;
    *next = at + next_char(search, at, &c);
    if (is_blank(c))
      break;
  }
  return at;
}

/* Appends the plain text of a piece unless it has no word. Returns false if out of memory. */
static bool add_piece(char **all, size_t *len, mcp_text_t piece) {
  size_t more;
  char *plain = words_plain(piece, WORDS_LINE_MAX_CHARS, &more);
  char *larger = plain != NULL && more > 1 ? realloc(*all, *len + 1 + more + 1) : *all;
  bool fine = plain != NULL && larger != NULL;
  if (fine && more > 1) {
    *all = larger;
    if (*len > 0)
      larger[(*len)++] = '\n';
    memcpy(larger + *len, plain, more + 1);
    *len += more;
  }
  free(plain);
  return fine;
}

char *words_of_search(mcp_text_t search) {
  char *all = calloc(1, 1);
  size_t len = 0, next;
  bool fine = all != NULL;
  for (size_t at = 0; fine && at < search.len; at = next) {
    size_t end = end_of_piece(search, at, &next);
    fine = add_piece(&all, &len, (mcp_text_t){search.ptr + at, end - at});
  }
  if (fine)
    return all;
  free(all);
  return NULL;
}
