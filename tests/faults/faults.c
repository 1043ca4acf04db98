/* faults.c: counts events and selects the one that fails. Also holds the failing allocators of the library,
 * libuv and OpenSSL. yyjson and PCRE2 use the library's allocator; wslay's allocations never fail.
 *
 * libuv's realloc never fails: libuv grows a loop's descriptor table with it and aborts the process without
 * memory. */
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
static const char *trace; /* FAULTS_TRACE: print where the fault is injected */

void __sanitizer_print_stack_trace(void) __attribute__((weak)); /* present in ASan builds only */

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

unsigned long faults_count(faults_domain_t domain) {
  return atomic_load(&seen[domain]);
}

unsigned long faults_injected(void) {
  return atomic_load(&made);
}

const char *faults_last(void) {
  return last;
}

long faults_live_allocations(void) {
  return atomic_load(&live);
}

unsigned faults_variant(void) {
  return wanted.variant;
}

void faults_note(const char *call, const char *error) {
  snprintf(last, sizeof last, "%s: %s", call, error);
}

bool faults_should_fail(bool is_call) {
  if (!atomic_load(&armed))
    return false;
  faults_domain_t domain = (is_call ? CALL_MAIN_THREAD : MEMORY_MAIN_THREAD) + !is_main;
  unsigned long number = atomic_fetch_add(&seen[domain], 1) + 1;
  if (domain != wanted.domain || number < wanted.first || number - wanted.first >= wanted.count)
    return false;
  if (atomic_fetch_add(&made, 1) == 0 && trace != NULL && __sanitizer_print_stack_trace != NULL)
    __sanitizer_print_stack_trace();
  return true;
}

/* ---- allocator of the library
 * ------------------------------------------------------------------------------------ */

static void *counted_malloc(size_t size, void *arg) {
  (void)arg;
  void *memory = faults_should_fail(false) ? NULL : malloc(size);
  if (memory != NULL)
    atomic_fetch_add(&live, 1);
  return memory;
}

static void *counted_realloc(void *old, size_t size, void *arg) {
  (void)arg;
  return faults_should_fail(false) ? NULL : realloc(old, size);
}

static void counted_free(void *memory, void *arg) {
  (void)arg;
  atomic_fetch_sub(&live, 1);
  free(memory);
}

/* ---- allocators of libuv and OpenSSL
 * ---------------------------------------------------------------------------------- */

static void *loop_malloc(size_t size) {
  return faults_should_fail(false) ? NULL : malloc(size);
}

static void *loop_calloc(size_t count, size_t size) {
  return faults_should_fail(false) ? NULL : calloc(count, size);
}

static void *crypto_malloc(size_t size, const char *file, int line) {
  (void)file;
  (void)line;
  return faults_should_fail(false) ? NULL : malloc(size);
}

static void *crypto_realloc(void *old, size_t size, const char *file, int line) {
  (void)file;
  (void)line;
  return faults_should_fail(false) ? NULL : realloc(old, size);
}

static void crypto_free(void *memory, const char *file, int line) {
  (void)file;
  (void)line;
  free(memory);
}

void faults_install(void) {
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
