/* schema_unique.c: uniqueItems without quadratic work.
 *
 * Few items are compared one by one. More items are put into a hash table of at most 2 MiB on the heap, freed
 * before the check returns; for an array beyond MCP__SCHEMA_MAX_UNIQUE the check gives up. Hash collisions
 * use up the check's steps. */
#include "schema/schema_compare.h"
#include "schema/schema_rules.h"

#include <string.h>

enum { FEW = 16 };

static bool refuse_equal(const mcp__location_t *at, mcp__check_t *check, size_t first, size_t second) {
  mcp__schema_error_begin(check->error, at, NULL, "the items ");
  mcp__schema_error_put_number(check->error, first);
  mcp__schema_error_put(check->error, " and ");
  mcp__schema_error_put_number(check->error, second);
  mcp__schema_error_put(check->error, " are equal");
  return false;
}

static bool check_few(yyjson_val *array, const mcp__location_t *at, mcp__check_t *check) {
  yyjson_val *items[FEW], *item;
  size_t index, max;
  yyjson_arr_foreach(array, index, max, item) {
    items[index] = item;
    for (size_t i = 0; i < index; i++)
      if (mcp__json_same(items[i], item, &check->steps))
        return refuse_equal(at, check, i, index);
  }
  return mcp__check_spend(check, at, 0);
}

typedef struct slot {
  yyjson_val *item; /* NULL: free */
  uint32_t index;
  uint32_t hash; /* the upper half: most colliding items differ in it and are not compared */
} slot_t;

/* Inserts the item into the table, whose size is a power of two. Returns the slot of an equal item, or NULL.
 */
static const slot_t *enter(slot_t *table, size_t size, yyjson_val *item, size_t index, uint64_t *steps) {
  uint64_t hash = mcp__json_hash(item, steps);
  slot_t entry = {item, (uint32_t)index, (uint32_t)(hash >> 32)};
  for (size_t at = hash & (size - 1); *steps > 0; at = (at + 1) & (size - 1), --*steps) {
    if (table[at].item == NULL) {
      table[at] = entry;
      break;
    }
    if (table[at].hash == entry.hash && mcp__json_same(table[at].item, item, steps))
      return &table[at];
  }
  return NULL;
}

static bool check_many(yyjson_val *array, const mcp__location_t *at, mcp__check_t *check) {
  size_t index, max, size = (size_t)4 * FEW;
  yyjson_val *item;
  while (size < 2 * yyjson_arr_size(array)) /* at most half full */
    size *= 2;
  slot_t *table = mcp__calloc(size * sizeof *table);
  if (table == NULL)
    return mcp__check_give_up(check, at, "out of memory");
  bool fine = true;
  yyjson_arr_foreach(array, index, max, item) {
    const slot_t *equal = enter(table, size, item, index, &check->steps);
    if (equal != NULL)
      fine = refuse_equal(at, check, equal->index, index);
    if (!fine || !(fine = mcp__check_spend(check, at, 0)))
      break;
  }
  mcp__free(table);
  return fine;
}

bool mcp__check_unique(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                       mcp__check_t *check) {
  (void)validator;
  if (!yyjson_is_arr(value))
    return true;
  if (yyjson_arr_size(value) <= FEW)
    return check_few(value, at, check);
  if (yyjson_arr_size(value) > MCP__SCHEMA_MAX_UNIQUE) {
    mcp__check_give_up(check, at, "more items than uniqueItems compares: ");
    mcp__schema_error_put_number(check->text, MCP__SCHEMA_MAX_UNIQUE);
    return false;
  }
  return check_many(value, at, check);
}
