/* log_cost.c: the cost of a log line for the thread that logs it, while Godot accepts lines, is unavailable,
 * does not respond, or is slow.
 *
 * usage: log_cost [ROUNDS]        (default 3)
 *
 * In each state a server of this process ships its lines, and a thread makes them in bursts of 100, one burst
 * every two milliseconds, 50,000 lines a second in all. Shown is that thread's CPU time for a line, the
 * middle of all bursts, beside the same with a Godot that takes them at once; states take turns, round by
 * round. Lines go to stderr, too, which is /dev/null here. */
#include <iccm_network.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

enum { LINES = 100, BURSTS = 500, PAUSE_US = 2000, MAX_ROUNDS = 50, SLOW_MS = 100 };

typedef enum state { OFF, LIVE, DEAD, SILENT, SLOW, STATES } state_t;
static const char *const names[STATES] = {"off", "live", "dead", "silent", "slow"};

typedef struct play {
  uv_loop_t loop;
  uv_async_t over;
  mcp_server_t *component, *godot;
  uint64_t *ns; /* of each burst */
} play_t;

static uint64_t now_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- Godot's part ---- */

static const char queued[] = "{\"status\":\"ok\",\"message\":\"Log entry queued.\"}";

static void take(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  mcp_call_reply_text(call, queued, sizeof queued - 1);
}

static void take_late(mcp_call_t *call, yyjson_val *args, void *arg) { /* on a thread of the pool */
  uv_sleep(SLOW_MS);
  take(call, args, arg);
}

static mcp_server_t *make_godot(bool slow) {
  mcp_tool_t tools[] = {{.name = "logger_log",
                         .handler = slow ? take_late : take,
                         .flags = MCP_TOOL_LOG_TRAFFIC | (slow ? MCP_TOOL_BLOCKING : 0)},
                        MCP_TOOL_END};
  return mcp_server_new("godot", "1", 0, tools);
}

/* A port that accepts connections and sends nothing, or, if it is closed at once, refuses them. */
static int listen_silently(int *listener) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  *listener = socket(AF_INET, SOCK_STREAM, 0);
  if (*listener < 0 || bind(*listener, (struct sockaddr *)&address, len) != 0 || listen(*listener, 16) != 0 ||
      getsockname(*listener, (struct sockaddr *)&address, &len) != 0) {
    perror("log_cost: a listener");
    exit(1);
  }
  return ntohs(address.sin_port);
}

/* ---- the caller's part ---- */

static void *make_lines(void *arg) {
  play_t *play = arg;
  for (int burst = 0; burst < BURSTS; burst++) {
    uint64_t begun = now_ns(CLOCK_THREAD_CPUTIME_ID);
    for (int line = 0; line < LINES; line++)
      mcp_log(MCP_LOG_INFO, "caller", "line %d of burst %d, as long as lines usually are, more or less", line,
              burst);
    play->ns[burst] = now_ns(CLOCK_THREAD_CPUTIME_ID) - begun;
    usleep(PAUSE_US);
  }
  uv_async_send(&play->over);
  return NULL;
}

static void on_over(uv_async_t *over) {
  play_t *play = over->data;
  uv_close((uv_handle_t *)over, NULL);
  mcp_server_stop(play->component, NULL, NULL);
  if (play->godot != NULL)
    mcp_server_stop(play->godot, NULL, NULL);
}

static int compare(const void *a, const void *b) {
  uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
  return (left > right) - (left < right);
}

/* The middle burst's nanoseconds for a line. */
static double play_round(state_t state) {
  static uint64_t ns[BURSTS];
  static const mcp_tool_t no_tools[] = {MCP_TOOL_END};
  play_t play = {.ns = ns};
  int port = 0, listener = -1;
  char url[64];
  pthread_t thread;
  uv_loop_init(&play.loop);
  uv_async_init(&play.loop, &play.over, on_over);
  play.over.data = &play;
  if (state == LIVE || state == SLOW) {
    play.godot = make_godot(state == SLOW);
    mcp_server_set_log_url(play.godot, NULL);
    if (mcp_server_start(play.godot, &play.loop) != 0)
      exit(1);
    port = mcp_server_port(play.godot);
  } else {
    port = listen_silently(&listener);
    if (state == DEAD)
      close(listener);
  }
  snprintf(url, sizeof url, "ws://127.0.0.1:%d", port);
  play.component = mcp_server_new("component", "1", 0, no_tools);
  mcp_server_set_log_url(play.component, state == OFF ? NULL : url);
  if (mcp_server_start(play.component, &play.loop) != 0 ||
      pthread_create(&thread, NULL, make_lines, &play) != 0)
    exit(1);
  uv_run(&play.loop, UV_RUN_DEFAULT);
  pthread_join(thread, NULL);
  uv_loop_close(&play.loop);
  mcp_server_free(play.component);
  mcp_server_free(play.godot);
  if (listener >= 0 && state != DEAD)
    close(listener);
  qsort(ns, BURSTS, sizeof *ns, compare);
  return (double)ns[BURSTS / 2] / LINES;
}

static int compare_doubles(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

int main(int argc, char **argv) {
  static double results[STATES][MAX_ROUNDS];
  int rounds = argc > 1 ? atoi(argv[1]) : 3, null = open("/dev/null", O_WRONLY);
  if (rounds < 1 || rounds > MAX_ROUNDS || null < 0 || dup2(null, STDERR_FILENO) < 0) {
    puts("usage: log_cost [ROUNDS], 1 to 50");
    return 2;
  }
  for (int round = 0; round < rounds; round++)
    for (state_t state = OFF; state < STATES; state++)
      results[state][round] = play_round(state);
  for (state_t state = OFF; state < STATES; state++)
    qsort(results[state], (size_t)rounds, sizeof **results, compare_doubles);
  puts("Godot      ns a line    ratio to live");
  for (state_t state = OFF; state < STATES; state++)
    printf("%-8s %11.0f %16.2f\n", names[state], results[state][rounds / 2],
           results[state][rounds / 2] / results[LIVE][rounds / 2]);
  return 0;
}
