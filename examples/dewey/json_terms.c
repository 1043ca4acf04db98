/* json_terms.c: see json_terms.h. Recursion is as deep as the value, which the library limits to 64
 * levels. */
#include "json_terms.h"
#include "json_contains.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct json_terms {
  char *out;
  size_t len;
  int count;
} json_terms_t;

/* FNV-1a. */
static uint64_t mix(uint64_t hash, const void *bytes, size_t len) {
  for (size_t i = 0; i < len; i++)
    hash = (hash ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
  return hash;
}

/* Equal numbers have the same hash: 1 and 1.0. */
static uint64_t mix_scalar(uint64_t hash, yyjson_val *value) {
  if (json_is_number(value)) {
    double number = json_number(value) + 0.0; /* -0.0 is 0.0 */
    return mix(mix(hash, "n", 1), &number, sizeof number);
  }
  if (yyjson_is_str(value))
    return mix(mix(hash, "s", 1), yyjson_get_str(value), yyjson_get_len(value));
  return mix(hash, yyjson_is_null(value) ? "0" : yyjson_is_true(value) ? "t" : "f", 1);
}

/* Returns false if there are too many. */
static bool add(json_terms_t *terms, uint64_t hash) {
  if (terms->count++ == JSON_TERMS_MAX)
    return false;
  terms->len += (size_t)snprintf(terms->out + terms->len, JSON_TERM_BYTES + 1, " d%010llx",
                                 (unsigned long long)(hash & UINT64_C(0xffffffffff)));
  return true;
}

static bool walk(json_terms_t *terms, yyjson_val *value, uint64_t hash) {
  size_t index, count;
  yyjson_val *key, *item;
  if (yyjson_is_obj(value)) {
    yyjson_obj_foreach(value, index, count, key, item) {
      uint64_t below = mix(mix(hash, "/", 1), yyjson_get_str(key), yyjson_get_len(key));
      if (!walk(terms, item, below))
        return false;
    }
    return true;
  }
  if (yyjson_is_arr(value)) {
    yyjson_arr_foreach(value, index, count, item) {
      if (!walk(terms, item, mix(hash, "[", 1)))
        return false;
    }
    return true;
  }
  return add(terms, mix_scalar(hash, value));
}

bool json_terms(yyjson_val *value, char out[JSON_TERMS_SIZE]) {
  json_terms_t terms = {.out = out};
  out[0] = '\0';
  if (walk(&terms, value, UINT64_C(0xcbf29ce484222325)))
    return true;
  memcpy(out, " " JSON_TERMS_TOO_MANY, sizeof " " JSON_TERMS_TOO_MANY);
  return false;
}
