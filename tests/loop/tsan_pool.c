/* tsan_pool.c: everything that several threads access. Without Criterion, which does not work with
 * ThreadSanitizer.
 *
 * Each round runs a server with blocking tools and its client in one loop: calls that reply, fail, never
 * reply, take long, call another server and wait, time out, and continue while their server is stopped and
 * freed. Starts and ends of calls are counted. Meanwhile threads and handlers log; the server ships its lines
 * to another server, which keeps changing the level. Handlers update metrics, and a thread that sets
 * dependencies reads them. With an argument a log handler receives the lines, otherwise stderr. Meson runs
 * the program in the normal build, and once more with the library compiled for ThreadSanitizer. */
#include <iccm_network.h>

#include <arpa/inet.h>
#include <pool_threads.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>
#include <wait_limit.h>

enum { ROUNDS = 12, CALLS = 300, TOGETHER = 60, LOGGERS = 3, LEVEL_MS = 5 };

typedef struct play {
  mcp_server_t *server, *godot;
  uv_timer_t news;
  unsigned taken, godot_stopped;
  mcp_client_t *client;
  unsigned made, ended, strange, client_closed, server_stopped;
  bool in_a_hurry; /* stops while handlers run */
  uv_thread_t watcher;
  atomic_bool over;
} play_t;

/* What handlers use, also those that outlive their round. */
typedef struct shared {
  char url[64]; /* of the other server */
  mcp_metric_t *counter;
} shared_t;

static atomic_uint in_handlers, handled, asked, watched;
static atomic_bool over;

static void on_log(int level, const char *part, const char *text, void *arg) {
  static atomic_uint lines;
  (void)level;
  (void)part;
  (void)arg;
  atomic_fetch_add(&lines, (unsigned)strlen(text));
}

/* ---- tools -------------------------------------------------------------------------------------------- */

static void answer_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *answer = yyjson_mut_obj(doc);
  mcp_metric_add(((shared_t *)arg)->counter, mcp_call_trace_id(call), 1);
  yyjson_mut_obj_add_val(doc, answer, "args", yyjson_val_mut_copy(doc, args));
  yyjson_mut_obj_add_str(doc, answer, "trace", mcp_call_trace_id(call));
  mcp_call_log(call, MCP_LOG_DEBUG, answer, "answers");
  mcp_call_reply(call, answer);
  atomic_fetch_add(&handled, 1);
}

static void fail_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  mcp_log(MCP_LOG_WARN, "fail", "on a thread of the pool");
  mcp_call_tool_error(call, "fails");
}

static void forget_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)call;
  (void)args;
  (void)arg;
}

static void slow_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  atomic_fetch_add(&in_handlers, 1);
  unsigned ms = (unsigned)yyjson_get_uint(yyjson_obj_get(args, "ms"));
  for (unsigned i = 0; i < ms && mcp_call_cancel_reason(call) == MCP_CANCEL_NONE; i++) {
    mcp_call_progress(call, i, ms, "a millisecond more");
    usleep(1000);
  }
  usleep(2000); /* some continue after a cancellation */
  mcp_call_log_text(call, MCP_LOG_INFO, "goes on", 7, NULL, 0);
  mcp_call_reply_text(call, "\"slow\"", 6);
  atomic_fetch_sub(&in_handlers, 1);
}

static void on_progress(mcp_client_t *client, const mcp_progress_t *progress, void *arg) {
  (void)client;
  mcp_call_progress(arg, progress->progress, progress->total, progress->message);
}

static void ask_one(mcp_call_t *call, const char *url, const char *tool, uint64_t timeout_ms) {
  mcp_call_options_t options = {
      .timeout_ms = timeout_ms, .parent = call, .progress_cb = on_progress, .progress_arg = call};
  yyjson_doc *answer = NULL;
  mcp_sync_client_t *client = mcp_sync_client_new(url);
  if (client == NULL)
    return;
  if (mcp_sync_client_call(client, tool, NULL, &options, &answer) == 0)
    atomic_fetch_add(&asked, 1);
  yyjson_doc_free(answer);
  mcp_sync_client_free(client);
}

/* Waits for another server's answers, over connections that handlers share: by two names, once in vain, once
 * too briefly, and where there is no server. */
static void ask_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  shared_t *shared = arg;
  (void)args;
  atomic_fetch_add(&in_handlers, 1);
  ask_one(call, shared->url, "greet", 200);
  ask_one(call, strstr(shared->url, "127"), "greet", 200);
  ask_one(call, shared->url, "missing", 200);
  ask_one(call, shared->url, "greet", 1);
  ask_one(call, "127.0.0.1:1", "greet", 200);
  ask_one(call, "http://127.0.0.1", "greet", 200);
  mcp_metric_add(shared->counter, "asked", 1);
  mcp_call_reply_text(call, "\"asked\"", 7);
  atomic_fetch_sub(&in_handlers, 1);
}

static mcp_server_t *new_server(shared_t *shared) {
  const mcp_tool_t tools[] = {
      {.name = "answer", .handler = answer_tool, .arg = shared, .flags = MCP_TOOL_BLOCKING},
      {.name = "ask", .handler = ask_tool, .arg = shared, .flags = MCP_TOOL_BLOCKING},
      {.name = "fail", .handler = fail_tool, .flags = MCP_TOOL_BLOCKING},
      {.name = "forget", .handler = forget_tool, .flags = MCP_TOOL_BLOCKING},
      {.name = "slow", .handler = slow_tool, .flags = MCP_TOOL_BLOCKING},
      MCP_TOOL_END,
  };
  mcp_server_t *server = mcp_server_new("tsan", "1", 0, tools);
  shared->counter = mcp_server_metric(server, MCP_COUNTER, "tsan_answers_total", "Answers.", "trace");
  return server;
}

/* ---- the watcher --------------------------------------------------------------------------------------- */

static bool get(int port, const char *request) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  struct timeval patience = {.tv_sec = 1};
  char text[4096];
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  bool got = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
             send(fd, request, strlen(request), MSG_NOSIGNAL) > 0 && recv(fd, text, sizeof text, 0) > 0;
  while (got && recv(fd, text, sizeof text, 0) > 0)
    continue;
  close(fd);
  return got;
}

/* Reports a dependency as unavailable and available in turn, and reads the server's pages, until it stops. */
static void watch(void *arg) {
  play_t *play = arg;
  int port = mcp_server_port(play->server);
  for (unsigned i = 0; !atomic_load(&play->over); i++) {
    mcp_server_set_dependency(play->server, "store", i % 2 == 0 ? "unavailable" : NULL);
    atomic_fetch_add(&watched, get(port, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    atomic_fetch_add(&watched, get(port, "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    usleep(2000);
  }
}

/* ---- the log ------------------------------------------------------------------------------------------- */

static void log_all_the_time(void *arg) {
  const mcp_span_t span = {"trace", "0123456789abcdef", ""};
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  yyjson_mut_val *data = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_str(doc, data, "password", "hush");
  for (int i = 0; !atomic_load(&over); i++) {
    mcp_log(i % 5, "tsan", "line %d", i);
    mcp_log_data(i % 5, arg, "trace", data, "with data");
    if (mcp_log_enabled(i % 5) && mcp_memory_blocks() > 0)
      mcp_log_text(i % 5, arg, &span, "text", 4, "[1]", 3);
    usleep(500);
  }
  yyjson_mut_doc_free(doc);
}

static void take_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  ((play_t *)arg)->taken++;
  mcp_call_reply_text(call, "1", 1);
}

static void greet_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  mcp_call_progress(call, 1, 2, "about to greet"); /* which ask_one() passes on */
  mcp_call_reply_text(call, "\"hello\"", 7);
}

static yyjson_mut_doc *tell_level(mcp_server_t *server, yyjson_val *initialize, void *arg) {
  static const char *const levels[] = {"TRACE", "DEBUG", "INFO", "WARN", "none"};
  static unsigned next;
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  yyjson_mut_val *params = yyjson_mut_obj(doc);
  (void)server;
  (void)initialize;
  (void)arg;
  yyjson_mut_doc_set_root(doc, params);
  yyjson_mut_obj_add_str(doc, params, "level", levels[next++ % 5]);
  return doc;
}

static void on_news(uv_timer_t *timer) {
  mcp_server_notify(((play_t *)timer->data)->godot);
}

static bool start_godot(play_t *play, uv_loop_t *loop, char url[64]) {
  const mcp_tool_t take[] = {
      {.name = "logger_log", .handler = take_tool, .arg = play, .flags = MCP_TOOL_LOG_TRAFFIC},
      {.name = "greet", .handler = greet_tool},
      MCP_TOOL_END};
  play->godot = mcp_server_new("godot", "1", 0, take);
  mcp_server_set_log_url(play->godot, NULL);
  mcp_server_set_experimental_capability(play->godot, "iccm/log_level", tell_level, NULL);
  if (mcp_server_start(play->godot, loop) != 0)
    return false;
  snprintf(url, 64, "ws://127.0.0.1:%d", mcp_server_port(play->godot));
  play->news.data = play;
  uv_timer_init(loop, &play->news);
  uv_timer_start(&play->news, on_news, LEVEL_MS, LEVEL_MS);
  return true;
}

static void on_godot_stopped(mcp_server_t *server, void *arg) {
  ((play_t *)arg)->godot_stopped++;
  mcp_server_free(server);
}

/* ---- a round ------------------------------------------------------------------------------------------- */

static void on_stopped(mcp_server_t *server, void *arg) {
  play_t *play = arg;
  play->server_stopped++;
  atomic_store(&play->over, true);
  uv_thread_join(&play->watcher);
  mcp_server_free(server);
  uv_close((uv_handle_t *)&play->news, NULL);
  mcp_server_stop(play->godot, on_godot_stopped, play);
}

static void on_client_closed(mcp_client_t *client, void *arg) {
  play_t *play = arg;
  play->client_closed++;
  mcp_client_free(client);
}

static void make_one(play_t *play);

static void on_result(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  play_t *play = arg;
  (void)client;
  play->ended++;
  bool may_be_gone = play->in_a_hurry && play->ended > CALLS / 2;
  play->strange += result->status == MCP_EPROTOCOL || (result->status == MCP_ECONNECT && !may_be_gone);
  if (play->in_a_hurry && play->ended == CALLS / 2)
    mcp_server_stop(play->server, on_stopped, play);
  make_one(play);
  if (play->ended == CALLS) {
    mcp_client_close(play->client, on_client_closed, play);
    if (!play->in_a_hurry)
      mcp_server_stop(play->server, on_stopped, play);
  }
}

static void make_one(play_t *play) {
  static const char *const names[] = {"answer", "fail", "answer", "forget", "slow", "ask"};
  if (play->made == CALLS)
    return;
  unsigned number = play->made++;
  yyjson_mut_doc *args = yyjson_mut_doc_new(NULL);
  yyjson_mut_doc_set_root(args, yyjson_mut_obj(args));
  yyjson_mut_obj_add_uint(args, yyjson_mut_doc_get_root(args), "ms", number % 7 == 0 ? 700 : number % 40);
  uint64_t timeout_ms = number % 11 == 0 ? 5 : 300;
  yyjson_mut_val *meta = yyjson_mut_obj_add_obj(args, yyjson_mut_doc_get_root(args), "_meta");
  yyjson_mut_obj_add_uint(args, meta, "progressToken", number); /* read where the tool's name is the method */
  const char *name = names[number % 6];
  int status = strcmp(name, "slow") == 0
                   ? mcp_client_request(play->client, name, args,
                                        &(mcp_call_options_t){.timeout_ms = timeout_ms}, on_result, play)
                   : mcp_client_call(play->client, name, args,
                                     &(mcp_call_options_t){.timeout_ms = timeout_ms}, on_result, play);
  if (status != 0)
    play->strange++, play->ended++;
}

static bool play_round(shared_t *shared, bool in_a_hurry) {
  uv_loop_t loop;
  char url[64];
  play_t play = {.in_a_hurry = in_a_hurry};
  uv_loop_init(&loop);
  if (!start_godot(&play, &loop, url))
    return false;
  snprintf(shared->url, sizeof shared->url, "%s", url);
  play.server = new_server(shared);
  mcp_server_set_log_url(play.server, url);
  mcp_server_set_call_timeout_ms(play.server, 100);
  mcp_server_set_shutdown_timeout_ms(play.server, in_a_hurry ? 0 : 3000);
  if (mcp_server_start(play.server, &loop) != 0)
    return false;
  snprintf(url, sizeof url, "ws://127.0.0.1:%d", mcp_server_port(play.server));
  uv_thread_create(&play.watcher, watch, &play);
  play.client = mcp_client_new(&loop, url);
  for (int i = 0; i < TOGETHER; i++)
    make_one(&play);
  uv_run(&loop, UV_RUN_DEFAULT);
  bool shipped = in_a_hurry || play.taken > 0; /* a stop that waits for nothing may come first */
  bool fine = play.ended == CALLS && play.strange == 0 && play.client_closed == 1 &&
              play.server_stopped == 1 && play.godot_stopped == 1 && shipped && uv_loop_close(&loop) == 0;
  if (!fine)
    printf("made %u, ended %u, strange %u, closed %u, stopped %u, lines %u\n", play.made, play.ended,
           play.strange, play.client_closed, play.server_stopped, play.taken);
  return fine;
}

int main(int argc, char **argv) {
  (void)argv;
  static shared_t shared[ROUNDS];
  static char parts[LOGGERS][8] = {"tsan", "godot", "other"};
  uv_thread_t threads[LOGGERS];
  unsigned failed = 0;
  bool hooked = argc > 1; /* else to stderr, from a thread of the library's */
  if (hooked)
    mcp_set_log_handler(on_log, MCP_LOG_TRACE, NULL);
  alarm((unsigned)(2 * wait_limit_ms() / 1000));
  for (int i = 0; i < LOGGERS; i++)
    uv_thread_create(&threads[i], log_all_the_time, parts[i]);
  for (int round = 0; round < ROUNDS; round++)
    failed += !play_round(&shared[round], round % 2 == 1);
  atomic_store(&over, true);
  for (int i = 0; i < LOGGERS; i++)
    uv_thread_join(&threads[i]);
  while (atomic_load(&in_handlers) > 0) /* of servers that are gone; the alarm is the limit */
    usleep(1000);
  while (pool_threads() > 0)
    usleep(1000);
  printf("%u passed, %u failed\n", ROUNDS - failed, failed);
  return failed != 0 || atomic_load(&handled) == 0 || atomic_load(&asked) == 0 || atomic_load(&watched) == 0;
}
