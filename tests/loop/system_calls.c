/* system_calls.c: logging a line makes no system call while a server ships its log lines.
 *
 * Happy path: a thread and the handler of a blocking tool log while the kernel returns each of their system
 * calls to the program (Syscall User Dispatch), which counts it and makes it. The only calls allowed are a
 * few waits for a contended lock. Failure modes: if the kernel or the architecture does not support this, the
 * program prints NOT RUN. It uses neither Criterion, whose processes communicate, nor sanitizers, which make
 * system calls themselves. */
#define _GNU_SOURCE /* registers by name */
#include <iccm_network.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <uv.h>
#include <wait_limit.h>

enum { LINES = 5000, LOCKS_MAX = LINES / 5, NOT_RUN = 77 };

#if !defined(__x86_64__) || !defined(PR_SET_SYSCALL_USER_DISPATCH)

int main(void) {
  printf("NOT RUN: system_calls: no Syscall User Dispatch known for this machine\n");
  return NOT_RUN;
}

#else

static _Thread_local volatile char selector = SYSCALL_DISPATCH_FILTER_ALLOW;
static atomic_uint calls, locks;
static atomic_int first_call = -1;
static atomic_bool refused;

/* The rest of the log call is not counted: returning from a signal handler is a system call itself. */
static void on_system_call(int number, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  int none = -1, before = errno;
  (void)number;
  selector = SYSCALL_DISPATCH_FILTER_ALLOW;
  if (info->si_syscall == SYS_futex) {
    atomic_fetch_add(&locks, 1);
  } else {
    atomic_compare_exchange_strong(&first_call, &none, info->si_syscall);
    atomic_fetch_add(&calls, 1);
  }
  long result = syscall(info->si_syscall, registers[REG_RDI], registers[REG_RSI], registers[REG_RDX],
                        registers[REG_R10], registers[REG_R8], registers[REG_R9]);
  registers[REG_RAX] = result == -1 ? -errno : result;
  errno = before;
}

static bool intercept_calls(bool on) {
  return prctl(PR_SET_SYSCALL_USER_DISPATCH, on ? PR_SYS_DISPATCH_ON : PR_SYS_DISPATCH_OFF, 0, 0,
               on ? &selector : NULL) == 0;
}

static void log_lines(mcp_call_t *call) {
  if (!intercept_calls(true)) {
    atomic_store(&refused, true);
    return;
  }
  for (int i = 0; i < LINES; i++) {
    selector = SYSCALL_DISPATCH_FILTER_BLOCK;
    if (call != NULL)
      mcp_call_log(call, MCP_LOG_INFO, NULL, "line %d of the call", i);
    else
      mcp_log(MCP_LOG_INFO, "quiet", "line %d", i);
    selector = SYSCALL_DISPATCH_FILTER_ALLOW;
  }
  intercept_calls(false);
}

static void say_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  log_lines(call);
  mcp_call_reply_text(call, "1", 1);
}

static void log_from_thread(void *arg) {
  (void)arg;
  log_lines(NULL);
}

/* Checks the mechanism: a call is counted and made. */
static bool interception_works(void) {
  if (!intercept_calls(true))
    return false;
  selector = SYSCALL_DISPATCH_FILTER_BLOCK;
  bool made = syscall(SYS_getpid) > 0;
  selector = SYSCALL_DISPATCH_FILTER_ALLOW;
  intercept_calls(false);
  bool seen = atomic_exchange(&calls, 0) == 1 && atomic_exchange(&first_call, -1) == SYS_getpid;
  return made && seen;
}

typedef struct run {
  mcp_server_t *server, *godot;
  mcp_client_t *client;
  uv_thread_t thread;
  unsigned taken; /* lines that the fake Godot received */
  bool said, ending;
  int status;
} run_t;

static void on_stopped(mcp_server_t *server, void *arg) {
  run_t *state = arg;
  (void)server;
  mcp_server_stop(state->godot, NULL, NULL);
}

/* Lines are shipped after the log shipper has connected to Godot; the call may end before. */
static void end_when_done(run_t *state) {
  if (!state->said || state->taken == 0 || state->ending)
    return;
  state->ending = true;
  uv_thread_join(&state->thread);
  mcp_client_close(state->client, NULL, NULL);
  mcp_server_stop(state->server, on_stopped, state);
}

static void take_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  run_t *state = arg;
  (void)args;
  state->taken++;
  mcp_call_reply_text(call, "1", 1);
  end_when_done(state);
}

static void on_said(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  run_t *state = arg;
  (void)client;
  state->status = result->status;
  state->said = true;
  end_when_done(state);
}

static bool run(run_t *state) {
  const mcp_tool_t say[] = {{.name = "say", .handler = say_tool, .flags = MCP_TOOL_BLOCKING}, MCP_TOOL_END};
  const mcp_tool_t take[] = {
      {.name = "logger_log", .handler = take_tool, .arg = state, .flags = MCP_TOOL_LOG_TRAFFIC},
      MCP_TOOL_END};
  uv_loop_t loop;
  char url[64];
  uv_loop_init(&loop);
  state->godot = mcp_server_new("godot", "1", 0, take);
  state->server = mcp_server_new("quiet", "1", 0, say);
  mcp_server_set_log_url(state->godot, NULL);
  if (mcp_server_start(state->godot, &loop) != 0)
    return false;
  snprintf(url, sizeof url, "ws://127.0.0.1:%d", mcp_server_port(state->godot));
  if (mcp_server_set_log_url(state->server, url) != 0 || mcp_server_start(state->server, &loop) != 0)
    return false;
  snprintf(url, sizeof url, "ws://127.0.0.1:%d", mcp_server_port(state->server));
  state->client = mcp_client_new(&loop, url);
  uv_thread_create(&state->thread, log_from_thread, NULL);
  mcp_client_call(state->client, "say", NULL, NULL, on_said, state);
  uv_run(&loop, UV_RUN_DEFAULT);
  mcp_client_free(state->client);
  mcp_server_free(state->server);
  mcp_server_free(state->godot);
  return uv_loop_close(&loop) == 0;
}

int main(void) {
  static const struct sigaction action = {.sa_sigaction = on_system_call, .sa_flags = SA_SIGINFO};
  static run_t all;
  alarm((unsigned)(wait_limit_ms() / 1000));
  if (freopen("/dev/null", "w", stderr) == NULL || sigaction(SIGSYS, &action, NULL) != 0 ||
      !interception_works()) {
    printf("NOT RUN: system_calls: this kernel hands no system calls back\n");
    return NOT_RUN;
  }
  bool done = run(&all) && all.status == 0 && !atomic_load(&refused);
  printf("%u lines taken, %u system calls (the first: %d), %u waits for a lock\n", all.taken,
         atomic_load(&calls), atomic_load(&first_call), atomic_load(&locks));
  return !done || all.taken == 0 || atomic_load(&calls) > 0 || atomic_load(&locks) > LOCKS_MAX;
}

#endif
