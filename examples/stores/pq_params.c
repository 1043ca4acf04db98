/* pq_params.c: see pq_params.h.
 *
 * The formats are those of PostgreSQL's send and receive functions: integers in network byte order, times
 * as microseconds since 2000. An array is: dimensions, "has nulls", type, length, lower bound, then each
 * item after its length, -1 for null. */
#include "pq_params.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define EPOCH_2000_US INT64_C(946684800000000)

enum { ARRAY_HEAD = 20, ARRAY_LENGTH_AT = 12, ARRAY_FIRST_BYTES = 16 * 1024 };

int64_t pq_time_encode(int64_t us) {
  if (us == INT64_MIN || us == INT64_MAX)
    return us;
  return us < INT64_MIN + EPOCH_2000_US ? INT64_MIN : us - EPOCH_2000_US;
}

int64_t pq_time_decode(int64_t time) {
  if (time == INT64_MIN || time == INT64_MAX)
    return time;
  return time > INT64_MAX - EPOCH_2000_US ? INT64_MAX : time + EPOCH_2000_US;
}

/* ---- Parameters ---- */

static void add(pq_params_t *params, const char *value, size_t len) {
  params->values[params->count] = value;
  params->lengths[params->count++] = (int)len;
}

static void add_copy(pq_params_t *params, const void *value, size_t len) {
  unsigned char *copy = params->copies[params->count];
  memcpy(copy, value, len);
  add(params, (const char *)copy, len);
}

void pq_add_text(pq_params_t *params, mcp_text_t text) {
  add(params, text.ptr, text.ptr != NULL ? text.len : 0);
}

void pq_add_int(pq_params_t *params, int64_t value) {
  uint64_t wire = htobe64((uint64_t)value);
  add_copy(params, &wire, sizeof wire);
}

void pq_add_bool(pq_params_t *params, bool value) {
  unsigned char wire = value;
  add_copy(params, &wire, sizeof wire);
}

void pq_add_time(pq_params_t *params, int64_t us) {
  pq_add_int(params, pq_time_encode(us));
}

void pq_add_id(pq_params_t *params, const char *id) {
  unsigned char bytes[ID_BYTES];
  id_to_bytes(id, bytes);
  add_copy(params, bytes, sizeof bytes);
}

void pq_add_null(pq_params_t *params) {
  add(params, NULL, 0);
}

/* ---- Arrays ---- */

static bool make_room(pq_array_t *array, size_t more) {
  if (array->len + more <= array->capacity)
    return true;
  size_t capacity = array->capacity > 0 ? array->capacity : ARRAY_FIRST_BYTES;
  while (capacity < array->len + more)
    capacity *= 2;
  char *bytes = realloc(array->bytes, capacity);
  array->no_memory = array->no_memory || bytes == NULL;
  if (bytes == NULL)
    return false;
  array->bytes = bytes;
  array->capacity = capacity;
  return true;
}

static void put(pq_array_t *array, const void *bytes, size_t len) {
  if (len > 0 && make_room(array, len)) {
    memcpy(array->bytes + array->len, bytes, len);
    array->len += len;
  }
}

static void put_int32(pq_array_t *array, int32_t value) {
  uint32_t wire = htobe32((uint32_t)value);
  put(array, &wire, sizeof wire);
}

static void put_item(pq_array_t *array, const void *bytes, size_t len) {
  put_int32(array, bytes != NULL ? (int32_t)len : -1);
  put(array, bytes, bytes != NULL ? len : 0);
  array->count++;
}

void pq_append_text(pq_array_t *array, mcp_text_t text) {
  put_item(array, text.ptr, text.len);
}

void pq_append_int(pq_array_t *array, int64_t value) {
  uint64_t wire = htobe64((uint64_t)value);
  put_item(array, &wire, sizeof wire);
}

void pq_append_time(pq_array_t *array, int64_t us) {
  pq_append_int(array, pq_time_encode(us));
}

void pq_append_bool(pq_array_t *array, bool value) {
  unsigned char wire = value;
  put_item(array, &wire, sizeof wire);
}

void pq_append_id(pq_array_t *array, const char *id) {
  unsigned char bytes[ID_BYTES];
  id_to_bytes(id, bytes);
  put_item(array, bytes, sizeof bytes);
}

void pq_append_null(pq_array_t *array) {
  put_item(array, NULL, 0);
}

/* ---- Columns ---- */

static void begin_array(pq_array_t *array, enum pq_type type) {
  *array = (pq_array_t){.bytes = NULL};
  put_int32(array, 1); /* dimension */
  put_int32(array, 1); /* may have nulls */
  put_int32(array, (int32_t)type);
  put_int32(array, 0); /* length: see pq_add_columns */
  put_int32(array, 1); /* lower bound */
}

void pq_columns_init(pq_columns_t *columns, const enum pq_type *types, int count) {
  columns->count = count;
  for (int i = 0; i < count; i++)
    begin_array(&columns->arrays[i], types[i]);
}

void pq_columns_deinit(pq_columns_t *columns) {
  for (int i = 0; i < columns->count; i++)
    free(columns->arrays[i].bytes);
}

void pq_columns_clear(pq_columns_t *columns) {
  for (int i = 0; i < columns->count; i++) {
    columns->arrays[i].len = ARRAY_HEAD;
    columns->arrays[i].count = 0;
  }
}

bool pq_add_columns(pq_params_t *params, pq_columns_t *columns) {
  for (int i = 0; i < columns->count; i++) {
    pq_array_t *array = &columns->arrays[i];
    uint32_t count = htobe32((uint32_t)array->count);
    if (array->no_memory)
      return false;
    memcpy(array->bytes + ARRAY_LENGTH_AT, &count, sizeof count);
    add(params, array->bytes, array->len);
  }
  return true;
}
