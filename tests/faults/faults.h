/* faults.h: fault injection. While faults are armed, the k-th allocation or the k-th system call fails,
 * either of the main thread or of all other threads. The clock is accelerated so that time-outs cost no real
 * time.
 *
 * The program replaces the functions of the C library that libuv and the library call (see calls.c). Its own
 * memory and its own system calls, made with syscall(), are not affected. */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Other threads (pool, log, name resolution) are counted separately: their order is not deterministic. */
typedef enum faults_domain {
  MEMORY_MAIN_THREAD,
  MEMORY_OTHER_THREADS,
  CALL_MAIN_THREAD,
  CALL_OTHER_THREADS,
  FAULT_DOMAINS
} faults_domain_t;

typedef struct fault {
  faults_domain_t domain;
  /* The first failure, from 1, and the number of consecutive failures; count 0: nothing fails. */
  unsigned long first, count;
  unsigned variant; /* of a system call: the index of its error */
} fault_t;

void faults_install(void); /* replaces the allocator; first call of the main thread */
void faults_arm(const fault_t *fault);
void faults_disarm(void);
unsigned long faults_count(faults_domain_t domain); /* events since arming */
unsigned long faults_injected(void);
const char *faults_last(void); /* the last injected fault: "accept4: EMFILE" */

long faults_live_allocations(void); /* the library's allocations that are not freed */

/* For the replaced functions: true if this call must fail. */
bool faults_should_fail(bool is_call);
unsigned faults_variant(void);
void faults_note(const char *call, const char *error);

/* The monotonic clock as libuv sees it. It jumps ahead where the main thread would only wait for a timer. */
uint64_t faults_ms(void);
uint64_t faults_skipped_ms(void);    /* how far it has jumped in total */
void faults_set_clock_speed(int ms); /* ms per real millisecond */

#endif
