/* ping.c: `iccm ping URL`. Measures round trips of the MCP method "ping".
 *
 * A server that does not know the method responds with an error, which counts as a round trip. The first
 * round trip includes the connection and the handshake and is reported separately; the others are measured in
 * sequence on the same connection. The command stops at the first failure.
 */
#include <stdlib.h>
#include "check_alloc.h"
#include "commands.h"
#include "exit_codes.h"
#include "error_report.h"
#include "sync_client.h"

typedef struct ping_state {
  const print_t *out;
  uint64_t began_ns;
  double ms; /* of the last round trip */
  int code;
} ping_state_t;

static void on_response(sync_client_t *sync, const mcp_result_t *result, void *arg) {
  ping_state_t *state = arg;
  state->ms = (double)(uv_hrtime() - state->began_ns) / 1e6;
  bool answered = result->status == 0 || result->status == MCP_METHOD_NOT_FOUND;
  if (!answered || result->is_error)
    state->code = report_failure(sync->options, state->out, "ping", result, sync_client_stage(sync));
}

static bool ping(sync_client_t *sync, ping_state_t *state) {
  state->began_ns = uv_hrtime();
  sync_client_request(sync, "ping", NULL, on_response, state);
  return state->code == ICCM_OK;
}

static int compare(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

static double median(const double *sorted, int count) {
  return count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

static void print_summary(const print_t *out, double *ms, int count) {
  qsort(ms, (size_t)count, sizeof *ms, compare);
  fprintf(out->file, "min %.3f ms, median %.3f ms, max %.3f ms\n", ms[0], median(ms, count), ms[count - 1]);
}

static void print_summary_json(const print_t *out, double first_ms, double *ms, int count) {
  fprintf(out->file, "{\"connect_ms\":%.3f,\"round_trips_ms\":[", first_ms);
  for (int i = 0; i < count; i++)
    fprintf(out->file, "%s%.3f", i > 0 ? "," : "", ms[i]);
  qsort(ms, (size_t)count, sizeof *ms, compare);
  fprintf(out->file, "],\"min_ms\":%.3f,\"median_ms\":%.3f,\"max_ms\":%.3f}\n", ms[0], median(ms, count),
          ms[count - 1]);
}

/* Prints each round trip at once; stops when stdout has no reader. */
static void measure(sync_client_t *sync, ping_state_t *state, double *ms) {
  const options_t *options = sync->options;
  FILE *file = state->out->file;
  if (!ping(sync, state))
    return;
  double first_ms = state->ms;
  if (!options->json)
    fprintf(file, "connected, first response after %.3f ms\n", first_ms);
  for (int i = 0; i < options->count && fflush(file) == 0; i++) {
    if (!ping(sync, state))
      return;
    ms[i] = state->ms;
    if (!options->json)
      fprintf(file, "ping %d: %.3f ms\n", i + 1, ms[i]);
  }
  if (options->json)
    print_summary_json(state->out, first_ms, ms, options->count);
  else
    print_summary(state->out, ms, options->count);
}

int ping_run(const options_t *options, const print_t *out) {
  sync_client_t sync;
  ping_state_t state = {.out = out};
  int code = sync_client_open(&sync, options, out);
  if (code != 0)
    return code;
  double *ms = check_alloc(calloc((size_t)options->count, sizeof *ms));
  measure(&sync, &state, ms);
  free(ms);
  return sync_client_close(&sync, state.code);
}
