/* random.c: random bytes of the kernel, drawn in blocks.
 *
 * Happy path: each thread has a block, takes bytes from its end, and draws a new one once it is used up. A
 * forked process discards the blocks that it inherited, because its parent continues with the same bytes.
 * Failure: if forks cannot be noticed, each call draws its own block; without kernel randomness the caller is
 * told. */
#include "base/random.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

static _Thread_local struct {
  uint8_t bytes[MCP__RANDOM_MAX]; /* getrandom(2) returns as many at once, or none */
  size_t left;
  unsigned process; /* for which it was drawn */
} block;

static atomic_uint this_process; /* a number, incremented in each forked process */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool notices_forks;

static void on_fork(void) {
  atomic_fetch_add(&this_process, 1);
}

static void notice_forks(void) {
  notices_forks = pthread_atfork(NULL, NULL, on_fork) == 0;
}

static bool draw(unsigned process) {
  ssize_t len;
  do
    len = getrandom(block.bytes, sizeof block.bytes, 0);
  while (len < 0 && errno == EINTR);
  block.left = len == (ssize_t)sizeof block.bytes ? sizeof block.bytes : 0;
  block.process = process;
  return block.left > 0;
}

bool mcp__random_bytes(void *to, size_t len) {
  assert(len <= MCP__RANDOM_MAX);
  pthread_once(&once, notice_forks);
  unsigned process = atomic_load_explicit(&this_process, memory_order_relaxed);
  bool is_usable = notices_forks && block.process == process && block.left >= len;
  if (!is_usable && !draw(process))
    return false;
  block.left -= len;
  memcpy(to, block.bytes + block.left, len);
  return true;
}
