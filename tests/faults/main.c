/* main.c: runs every scenario with every fault. Each allocation fails once, and as the first of many. Each
 * system call fails once with each of its possible errors, and repeatedly with one of them.
 *
 * usage: faults [full [SCENARIO] | SCENARIO DOMAIN FIRST COUNT VARIANT]
 *
 * Without arguments each single allocation fails in the quick scenarios, and one in 13 of all other faults
 * (one in 199 in TLS scenarios); the date selects which. full runs all faults and takes minutes: `ninja -C
 * build-asan faults-full`. The five arguments, as a failure prints them, run a single fault; FAULTS_TRACE=1
 * shows where it is injected, TEST_LOG=1 shows the log.
 *
 * Happy path: a child process runs the scenario once without a fault to count the events, then once per
 * fault. Failure: the child exits (a failed check, a crash, a sanitizer) or hangs and is killed. The parent
 * prints the numbers of the fault and starts another child behind it. The last line has the totals. */
#include "harness.h"

#include "certificates.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <wait_limit.h>

enum { MAX_DELAY_MS = 10000, LONG = 10, VARIANTS = 6, STRIDE = 13, LONG_STRIDE = 199 };

int __lsan_do_recoverable_leak_check(void) __attribute__((weak)); /* present in ASan builds only */

static const char *const domain_names[] = {"memory", "memory elsewhere", "calls", "calls elsewhere"};

/* Shared with the children. */
typedef struct progress {
  unsigned long counts[FAULT_DOMAINS];
  fault_t at; /* the fault in progress */
  unsigned long runs, made[FAULT_DOMAINS];
} progress_t;

static progress_t *progress;
static unsigned long failures;
static unsigned stride, first; /* selection of faults */

static uv_loop_t loop;
static void ignore_line(int level, const char *part, const char *text, void *arg) {
  (void)arg;
  if (getenv("TEST_LOG") != NULL)
    fprintf(stderr, "%d %s %s\n", level, part, text);
}

/* Returns how far the clock jumped, in ms. */
static int run_timed(const scenario_t *scenario, const fault_t *fault) {
  uint64_t began_ms = faults_skipped_ms();
  alarm((unsigned)(wait_limit_ms() / 1000));
  harness_run_scenario(scenario, &loop, fault);
  progress->runs++;
  progress->made[fault->domain] += faults_injected();
  return (int)(faults_skipped_ms() - began_ms);
}

/* One fault may delay a connection attempt, but must not let a call wait for its deadline. A thread may have
 * been suspended while the clock jumped, so a run that took too long is repeated. One that cannot be repeated
 * may take any time. */
static void run_one(const scenario_t *scenario, const fault_t *fault) {
  progress->at = *fault;
  int ms = run_timed(scenario, fault);
  if (scenario->is_single)
    return;
  for (int again = 0; again < 5 && fault->count == 1 && ms > MAX_DELAY_MS; again++)
    ms = run_timed(scenario, fault);
  REQUIRE(fault->count != 1 || ms <= MAX_DELAY_MS, "%d ms for one fault: %s", ms, faults_last());
}

/* Sets the next fault; false at the end. */
static bool next_fault(const scenario_t *scenario, fault_t *fault) {
  bool is_call = fault->domain == CALL_MAIN_THREAD || fault->domain == CALL_OTHER_THREADS;
  if (is_call && fault->count == 1 && fault->variant + 1 < VARIANTS && stride == 1) {
    fault->variant++;
    return true;
  }
  if (fault->count == 1 && fault->first % stride == first % stride) {
    fault->count = LONG;
    return true;
  }
  fault->count = 1;
  fault->first += fault->domain == MEMORY_MAIN_THREAD && scenario->is_quick ? 1 : stride;
  while (fault->first > progress->counts[fault->domain]) {
    if (++fault->domain == FAULT_DOMAINS)
      return false;
    fault->first = first;
  }
  fault->variant = stride > 1 ? (unsigned)fault->first : 0;
  return true;
}

static void count_all(const scenario_t *scenario) {
  const fault_t none = {0};
  if (!scenario->is_single)
    run_one(scenario, &none); /* warms up one-time initialisation */
  run_one(scenario, &none);
  for (int i = 0; i < FAULT_DOMAINS; i++)
    progress->counts[i] = faults_count((faults_domain_t)i);
}

_Noreturn static void child(const scenario_t *scenario, const fault_t *begin, bool alone) {
  fault_t fault = *begin;
  mcp_set_log_handler(ignore_line, MCP_LOG_TRACE, NULL);
  faults_install();
  REQUIRE(uv_loop_init(&loop) == 0, "no loop");
  if (!scenario->is_single || begin->count == 0)
    count_all(scenario);
  if (begin->count > 0) {
    do
      run_one(scenario, &fault);
    while (!alone && next_fault(scenario, &fault));
  }
  alarm(0);
  uv_loop_close(&loop);
  fflush(stdout);
  if (__lsan_do_recoverable_leak_check != NULL && __lsan_do_recoverable_leak_check() != 0)
    _exit(1);
  _exit(0);
}

static bool run_in_child(const scenario_t *scenario, const fault_t *begin, bool alone) {
  int status = 0;
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0)
    child(scenario, begin, alone);
  REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid, "%s", strerror(errno));
  if (status == 0)
    return true;
  failures++;
  const fault_t *at = &progress->at;
  printf("FAILED (%s %d): '%s' %d %lu %lu %u (%s, number %lu of %lu)\n",
         WIFSIGNALED(status) ? "signal" : "exit",
         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), scenario->name, at->domain, at->first,
         at->count, at->variant, domain_names[at->domain], at->first, progress->counts[at->domain]);
  return false;
}

static void choose(unsigned every) {
  unsigned seed = (unsigned)(time(NULL) / 86400);
  stride = every;
  first = 1 + seed % stride;
}

/* Until the last fault; behind each one that is not borne it continues with the next. */
static void run_in_few_children(const scenario_t *scenario, fault_t fault) {
  while (!run_in_child(scenario, &fault, false)) {
    fault = progress->at;
    if (fault.count == 0 || !next_fault(scenario, &fault))
      break; /* it fails without a fault, too */
  }
}

static void run_each_in_a_child(const scenario_t *scenario, fault_t fault) {
  const fault_t none = {0};
  if (!run_in_child(scenario, &none, true))
    return;
  do
    run_in_child(scenario, &fault, true);
  while (next_fault(scenario, &fault));
}

static void run_all(const scenario_t *scenario, bool each) {
  choose(each ? 1 : scenario->is_long ? LONG_STRIDE : STRIDE);
  fault_t fault = {MEMORY_MAIN_THREAD, scenario->is_quick ? 1 : first, 1, 0};
  unsigned long runs = progress->runs;
  struct timespec began, ended;
  timespec_get(&began, TIME_UTC);
  if (scenario->is_single)
    run_each_in_a_child(scenario, fault);
  else
    run_in_few_children(scenario, fault);
  timespec_get(&ended, TIME_UTC);
  printf(
      "%-22s %5lu allocations (%lu elsewhere), %4lu calls (%lu elsewhere), %5lu runs from %u by %u, %.1f s\n",
      scenario->name, progress->counts[0], progress->counts[1], progress->counts[2], progress->counts[3],
      progress->runs - runs, first, stride,
      (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9);
}

static const scenario_t *find_scenario(const char *name) {
  for (size_t i = 0; i < scenario_count; i++)
    if (strcmp(scenarios[i].name, name) == 0)
      return &scenarios[i];
  REQUIRE(false, "no scenario %s", name);
}

static int run_one_alone(char **argv) {
  fault_t fault = {(faults_domain_t)atoi(argv[2]), strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10),
                   (unsigned)atoi(argv[5])};
  return run_in_child(find_scenario(argv[1]), &fault, true) ? 0 : 1;
}

/* In a separate process: faults_install() comes before the first use of OpenSSL. */
static char files[] = "/tmp/faults.XXXXXX";
const char *harness_files = files;

static void make_files(void) {
  int status = 0;
  REQUIRE(mkdtemp(files) != NULL, "%s", strerror(errno));
  pid_t pid = fork();
  if (pid == 0) {
    make_certificates(files);
    _exit(0);
  }
  REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "no certificates");
}

int main(int argc, char **argv) {
  bool each = argc >= 2 && strcmp(argv[1], "full") == 0;
  progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  make_files();
  if (argc == 6) {
    int status = run_one_alone(argv);
    remove_certificates(files);
    return status;
  }
  for (size_t i = 0; i < scenario_count; i++)
    if (argc < 3 || &scenarios[i] == find_scenario(argv[2]))
      run_all(&scenarios[i], each);
  remove_certificates(files);
  printf("%lu runs; failed on purpose: %lu allocations (%lu elsewhere), %lu calls (%lu "
         "elsewhere)\n",
         progress->runs, progress->made[0], progress->made[1], progress->made[2], progress->made[3]);
  printf("%lu faults were not borne\n", failures);
  return failures > 0;
}
