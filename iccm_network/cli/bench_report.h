/* bench_report.h: collects and prints the results of a benchmark. */
#ifndef ICCM_CLI_BENCH_REPORT_H
#define ICCM_CLI_BENCH_REPORT_H

#include "histogram.h"
#include "options.h"
#include "print.h"

enum { BENCH_CODES = 8, BENCH_MESSAGE_SIZE = 160 };

typedef struct bench_error {
  int code;
  uint64_t count;
  char message[BENCH_MESSAGE_SIZE]; /* of the first error with this code */
} bench_error_t;

/* Clocks at one moment, in seconds. */
typedef struct bench_usage {
  double now;
  double own_cpu;
  double server_cpu; /* user and system time of --server-pid; 0: not given */
} bench_usage_t;

typedef struct bench_result {
  histogram_t latency_ns; /* of the successful calls */
  bench_error_t errors[BENCH_CODES];
  int code_count;        /* used elements of errors */
  uint64_t other_errors; /* with further codes */
  bench_usage_t used;    /* during the measurement */
} bench_result_t;

/* False: no process server_pid. 0: no server process is measured. */
bool bench_usage_read(bench_usage_t *usage, int server_pid);
void bench_result_usage(bench_result_t *result, const bench_usage_t *before, const bench_usage_t *after);
void bench_result_error(bench_result_t *result, int code, const char *message);

/* Returns the exit code: ICCM_OK, or that of the first error. */
int bench_result_print(const bench_result_t *result, const options_t *options, const print_t *out);

#endif
