/* faults.c: counts, and says which one fails; and the allocators that ask: the library's, libuv's and
 * OpenSSL's. yyjson and PCRE2 take the library's; wslay, which sees unusual frames alone, is left out.
 *
 * libuv's realloc never fails: what it grows by it is the table of a loop's descriptors, and without memory
 * for that it ends the process by intention. */
#include "faults.h"

#include <iccm_network.h>

#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

static _Thread_local bool is_main;
static atomic_bool armed;
static fault_t wanted;
static atomic_ulong seen[FAULT_DOMAINS], made;
static atomic_long live;
static char last[64];
static const char *trace; /* FAULTS_TRACE is set: where it fails is shown */

void __sanitizer_print_stack_trace(void) __attribute__((weak)); /* there in builds with ASan alone */

void faults_arm(const fault_t *fault) {
  wanted = *fault;
  for (int i = 0; i < FAULT_DOMAINS; i++)
    atomic_store(&seen[i], 0);
  atomic_store(&made, 0);
  *last = '\0';
  atomic_store(&armed, true);
}

void faults_disarm(void) {
  atomic_store(&armed, false);
}

unsigned long faults_seen(faults_domain_t domain) {
  return atomic_load(&seen[domain]);
}

unsigned long faults_made(void) {
  return atomic_load(&made);
}

const char *faults_last(void) {
  return last;
}

long faults_live(void) {
  return atomic_load(&live);
}

unsigned faults_variant(void) {
  return wanted.variant;
}

void faults_note(const char *call, const char *error) {
  snprintf(last, sizeof last, "%s: %s", call, error);
}

bool faults_strike(bool is_call) {
  if (!atomic_load(&armed))
    return false;
  faults_domain_t domain = (is_call ? CALL_HERE : MEMORY_HERE) + !is_main;
  unsigned long number = atomic_fetch_add(&seen[domain], 1) + 1;
  if (domain != wanted.domain || number < wanted.first || number - wanted.first >= wanted.count)
    return false;
  if (atomic_fetch_add(&made, 1) == 0 && trace != NULL && __sanitizer_print_stack_trace != NULL)
    __sanitizer_print_stack_trace();
  return true;
}

/* ---- the library's ------------------------------------------------------------------------------------ */

static void *counted_malloc(size_t size, void *arg) {
  (void)arg;
  void *memory = faults_strike(false) ? NULL : malloc(size);
  if (memory != NULL)
    atomic_fetch_add(&live, 1);
  return memory;
}

static void *counted_realloc(void *old, size_t size, void *arg) {
  (void)arg;
  return faults_strike(false) ? NULL : realloc(old, size);
}

static void counted_free(void *memory, void *arg) {
  (void)arg;
  atomic_fetch_sub(&live, 1);
  free(memory);
}

/* ---- those of others ---------------------------------------------------------------------------------- */

static void *loop_malloc(size_t size) {
  return faults_strike(false) ? NULL : malloc(size);
}

static void *loop_calloc(size_t count, size_t size) {
  return faults_strike(false) ? NULL : calloc(count, size);
}

static void *crypto_malloc(size_t size, const char *file, int line) {
  (void)file;
  (void)line;
  return faults_strike(false) ? NULL : malloc(size);
}

static void *crypto_realloc(void *old, size_t size, const char *file, int line) {
  (void)file;
  (void)line;
  return faults_strike(false) ? NULL : realloc(old, size);
}

static void crypto_free(void *memory, const char *file, int line) {
  (void)file;
  (void)line;
  free(memory);
}

void faults_use(void) {
  const mcp_allocator_t allocator = {counted_malloc, counted_realloc, counted_free, NULL};
  is_main = true;
  trace = getenv("FAULTS_TRACE");
  if (mcp_set_allocator(&allocator) != 0 ||
      uv_replace_allocator(loop_malloc, realloc, loop_calloc, free) != 0 ||
      CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) != 1) {
    fprintf(stderr, "too late for an allocator\n");
    exit(2);
  }
}
