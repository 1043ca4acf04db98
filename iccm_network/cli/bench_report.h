/* bench_report.h: what a bench counted, and how it is told. */
#ifndef ICCM_CLI_BENCH_REPORT_H
#define ICCM_CLI_BENCH_REPORT_H

#include "histogram.h"
#include "options.h"
#include "print.h"

enum { BENCH_CODES = 8, BENCH_MESSAGE_SIZE = 160 };

typedef struct bench_error {
  int code;
  uint64_t count;
  char message[BENCH_MESSAGE_SIZE]; /* of the first with this code */
} bench_error_t;

/* Clocks at one moment, in seconds. */
typedef struct bench_usage {
  double now;
  double own_cpu;
  double server_cpu; /* user and system time of --server-pid; 0 without */
} bench_usage_t;

typedef struct bench_result {
  histogram_t latency_ns; /* of the calls that were answered without error */
  bench_error_t errors[BENCH_CODES];
  int code_count;        /* errors in use */
  uint64_t other_errors; /* with codes that found no room there */
  bench_usage_t used;    /* during the measurement */
} bench_result_t;

/* False: there is no process server_pid; 0 asks for none. */
bool bench_usage_read(bench_usage_t *usage, int server_pid);
void bench_result_usage(bench_result_t *result, const bench_usage_t *before, const bench_usage_t *after);
void bench_result_error(bench_result_t *result, int code, const char *message);

/* Returns the exit code: ICCM_OK, or that of the first error. */
int bench_result_print(const bench_result_t *result, const options_t *options, const print_t *out);

#endif
