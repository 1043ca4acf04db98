/* span.c: a counter that starts at a random value, is incremented by an odd constant, and is mixed
 * (SplitMix64). Ids are unique in this process and very likely unique across processes. Failure: without
 * kernel randomness the counter starts at the current time. */
#include "base/span.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static atomic_ullong counter;
static atomic_bool seeded;

static void seed(void) { /* safe if two threads run it at the same time */
  uint64_t start = 0;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (getrandom(&start, sizeof start, GRND_NONBLOCK) != (ssize_t)sizeof start)
    start = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
  atomic_fetch_add(&counter, start);
  atomic_store(&seeded, true);
}

uint64_t mcp__span_new(void) {
  if (!atomic_load_explicit(&seeded, memory_order_relaxed))
    seed();
  uint64_t z = atomic_fetch_add_explicit(&counter, 0x9e3779b97f4a7c15u, memory_order_relaxed);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return z != 0 ? z : 1;
}

void mcp__span_write(uint64_t span, char text[MCP__SPAN_SIZE]) {
  snprintf(text, MCP__SPAN_SIZE, "%016" PRIx64, span);
}

bool mcp__span_read(const char text[MCP__SPAN_SIZE], uint64_t *span) {
  static const char digits[] = "0123456789abcdef";
  size_t len = 0;
  while (len < MCP__SPAN_SIZE - 1 && text[len] != '\0' && strchr(digits, text[len]) != NULL)
    len++;
  *span = 0;
  if (text[len] != '\0' || (len != 0 && len != MCP__SPAN_SIZE - 1))
    return false;
  if (len > 0)
    *span = strtoull(text, NULL, 16);
  return true;
}
