/* bench_report.c: the results of a benchmark. They include the CPU time of this process: near 100 % the
 * client was the bottleneck, and only the calls per CPU second of the server are meaningful. */
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>
#include "bench_report.h"
#include "exit_codes.h"
#include "histogram.h"
#include "print.h"
#include "error_report.h"

static double seconds_of(struct timeval time) {
  return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* proc(5): utime and stime are the fields 14 and 15; the name in field 2 may hold blanks and parentheses. */
static bool read_server_cpu(int pid, double *cpu) {
  char path[32], text[1024];
  unsigned long user, system;
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE *file = fopen(path, "r");
  if (file == NULL)
    return false;
  size_t len = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[len] = '\0';
  const char *rest = strrchr(text, ')');
  if (rest == NULL ||
      sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
    return false;
  *cpu = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
  return true;
}

bool bench_usage_read(bench_usage_t *usage, int server_pid) {
  struct rusage own;
  getrusage(RUSAGE_SELF, &own);
  *usage = (bench_usage_t){.now = (double)uv_hrtime() / 1e9,
                           .own_cpu = seconds_of(own.ru_utime) + seconds_of(own.ru_stime)};
  return server_pid == 0 || read_server_cpu(server_pid, &usage->server_cpu);
}

void bench_result_usage(bench_result_t *result, const bench_usage_t *before, const bench_usage_t *after) {
  result->used.now = after->now - before->now;
  result->used.own_cpu = after->own_cpu - before->own_cpu;
  result->used.server_cpu = after->server_cpu - before->server_cpu;
}

void bench_result_error(bench_result_t *result, int code, const char *message) {
  for (int i = 0; i < result->code_count; i++) {
    if (result->errors[i].code == code) {
      result->errors[i].count++;
      return;
    }
  }
  if (result->code_count == BENCH_CODES) {
    result->other_errors++;
    return;
  }
  bench_error_t *error = &result->errors[result->code_count++];
  error->code = code;
  error->count = 1;
  snprintf(error->message, sizeof error->message, "%s", message);
}

static uint64_t error_count(const bench_result_t *result) {
  uint64_t count = result->other_errors;
  for (int i = 0; i < result->code_count; i++)
    count += result->errors[i].count;
  return count;
}

static double quantile_us(const bench_result_t *result, double share) {
  return (double)histogram_quantile(&result->latency_ns, share) / 1e3;
}

/* 0 if the CPU time is below one clock tick. */
static double per_server_second(const bench_result_t *result) {
  double cpu = result->used.server_cpu;
  return cpu > 0 ? (double)result->latency_ns.total / cpu : 0;
}

static void print_json_results(const bench_result_t *result, const options_t *options, FILE *file) {
  fprintf(file,
          "{\"connections\":%d,\"in_flight\":%d,\"seconds\":%.3f,\"calls\":%llu,\"calls_per_second\":%.1f",
          options->connections, options->in_flight, result->used.now,
          (unsigned long long)result->latency_ns.total, (double)result->latency_ns.total / result->used.now);
  fprintf(file, ",\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f", quantile_us(result, 0.5),
          quantile_us(result, 0.99), quantile_us(result, 1));
  fprintf(file, ",\"errors\":%llu,\"errors_by_code\":{", (unsigned long long)error_count(result));
  for (int i = 0; i < result->code_count; i++)
    fprintf(file, "%s\"%d\":%llu", i > 0 ? "," : "", result->errors[i].code,
            (unsigned long long)result->errors[i].count);
  fprintf(file, "},\"client_cpu_seconds\":%.3f", result->used.own_cpu);
  if (options->server_pid != 0)
    fprintf(file, ",\"server_cpu_seconds\":%.2f,\"calls_per_server_cpu_second\":%.1f",
            result->used.server_cpu, per_server_second(result));
  fputs("}\n", file);
}

static void print_results(const bench_result_t *result, const options_t *options, const print_t *out) {
  FILE *file = out->file;
  fprintf(file, "%d connections, %d calls in flight per connection, %.1f s\n", options->connections,
          options->in_flight, result->used.now);
  fprintf(file, "calls/s  %.0f\n", (double)result->latency_ns.total / result->used.now);
  fprintf(file, "p50      %.1f µs\n", quantile_us(result, 0.5));
  fprintf(file, "p99      %.1f µs\n", quantile_us(result, 0.99));
  fprintf(file, "max      %.1f µs\n", quantile_us(result, 1));
  fprintf(file, "errors   %llu\n", (unsigned long long)error_count(result));
  for (int i = 0; i < result->code_count; i++) {
    const bench_error_t *error = &result->errors[i];
    fprintf(file, "  %llu with code %d: ", (unsigned long long)error->count, error->code);
    print_line(out, error->message, strlen(error->message), 0);
    fputc('\n', file);
  }
  fprintf(file, "CPU      client %.0f %%", 100 * result->used.own_cpu / result->used.now);
  if (options->server_pid != 0)
    fprintf(file, ", server %.0f %%: %.0f calls per CPU second of the server",
            100 * result->used.server_cpu / result->used.now, per_server_second(result));
  fputc('\n', file);
}

int bench_result_print(const bench_result_t *result, const options_t *options, const print_t *out) {
  if (options->json)
    print_json_results(result, options, out->file);
  else
    print_results(result, options, out);
  if (result->code_count == 0)
    return ICCM_OK;
  mcp_result_t first = {.status = result->errors[0].code};
  return report_exit_code(&first, MCP_STAGE_OPEN);
}
