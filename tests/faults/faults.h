/* faults.h: what fails, and when: the k-th allocation, or the k-th system call, of this thread or of all
 * others, while faults are armed; and a clock that does not keep anybody waiting.
 *
 * The program stands in for the C library's functions that libuv and the library call (see calls.c); its own
 * memory and its own calls, by syscall(), are left alone. Counting and failing is for what comes between
 * arming and disarming. */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Counted apart, since what other threads (pool, log, look-up) do comes in an order of its own. */
typedef enum faults_domain {
  MEMORY_HERE,
  MEMORY_ELSEWHERE,
  CALL_HERE,
  CALL_ELSEWHERE,
  FAULT_DOMAINS
} faults_domain_t;

typedef struct fault {
  faults_domain_t domain;
  unsigned long first,
      count;        /* the first that fails, from 1; how many in a row. 0: none does, all are counted */
  unsigned variant; /* of a call: which of its errors */
} fault_t;

void faults_use(void); /* by the main thread, before anything else: the allocators */
void faults_arm(const fault_t *fault);
void faults_disarm(void);
unsigned long faults_seen(faults_domain_t domain); /* since armed */
unsigned long faults_made(void);
const char *faults_last(void); /* "accept4: EMFILE": the one that was made last */

long faults_live(void); /* allocations of the library that were not given back yet */

/* For those that stand in: whether this one fails. */
bool faults_strike(bool is_call);
unsigned faults_variant(void);
void faults_note(const char *call, const char *error);

/* The monotonic clock as libuv sees it: it leaps where the main thread would wait for nothing but time. */
uint64_t faults_ms(void);
uint64_t faults_leapt_ms(void); /* how far it has leapt */
void faults_leap(int ms);       /* by so much for each that really passes */

#endif
