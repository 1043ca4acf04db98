/* redis_process.c: see redis_process.h. Redis is configured as in production: each write is on disk before
 * the reply. */
#include "redis_process.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <wait_limit.h>

static int free_port(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
  cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
  close(fd);
  return ntohs(address.sin_port);
}

static void run_server(const redis_process_t *redis) {
  char port[8];
  int null = open("/dev/null", O_RDWR);
  snprintf(port, sizeof port, "%d", redis->port);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(null, STDOUT_FILENO);
  execlp("redis-server", "redis-server", "--port", port, "--dir", redis->directory, "--bind", "127.0.0.1",
         "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction",
         (char *)NULL);
  _exit(127);
}

static redisContext *try_connect(const redis_process_t *redis) {
  redisContext *context = redisConnect("127.0.0.1", redis->port);
  redisReply *reply = context != NULL && context->err == 0 ? redisCommand(context, "PING") : NULL;
  if (reply != NULL && reply->type == REDIS_REPLY_STATUS) {
    freeReplyObject(reply);
    return context;
  }
  freeReplyObject(reply);
  redisFree(context);
  return NULL;
}

void redis_process_start(redis_process_t *redis) {
  const struct timespec interval = {.tv_nsec = 5 * 1000 * 1000};
  redis->pid = fork();
  cr_assert_geq(redis->pid, 0);
  if (redis->pid == 0)
    run_server(redis);
  for (uint64_t ms = 0; ms < wait_limit_ms() && redis->context == NULL; ms += 5) {
    redis->context = try_connect(redis);
    if (redis->context == NULL)
      nanosleep(&interval, NULL);
  }
  cr_assert_not_null(redis->context, "redis-server does not answer");
}

void redis_process_init(redis_process_t *redis) {
  memset(redis, 0, sizeof *redis);
  strcpy(redis->directory, "/tmp/test-redis-XXXXXX");
  cr_assert_not_null(mkdtemp(redis->directory));
  redis->port = free_port();
  redis_process_start(redis);
}

void redis_process_kill(redis_process_t *redis) {
  redisFree(redis->context);
  redis->context = NULL;
  kill(redis->pid, SIGKILL);
  cr_assert_eq(waitpid(redis->pid, NULL, 0), redis->pid);
  redis->pid = 0;
}

void redis_process_deinit(redis_process_t *redis) {
  char command[96];
  if (redis->pid != 0)
    redis_process_kill(redis);
  snprintf(command, sizeof command, "rm -r %s", redis->directory);
  cr_assert_eq(system(command), 0);
}

static redisReply *send_command(redis_process_t *redis, const char *format, va_list arguments) {
  redisReply *reply = redisvCommand(redis->context, format, arguments);
  cr_assert_not_null(reply, "%s: %s", format, redis->context->errstr);
  cr_assert_neq(reply->type, REDIS_REPLY_ERROR, "%s: %s", format, reply->str);
  return reply;
}

long long redis_process_int(redis_process_t *redis, const char *format, ...) {
  va_list arguments;
  redisReply *reply;
  long long number;
  va_start(arguments, format);
  reply = send_command(redis, format, arguments);
  va_end(arguments);
  number = reply->type == REDIS_REPLY_ARRAY ? (long long)reply->elements : reply->integer;
  if (reply->type == REDIS_REPLY_STRING)
    number = strtoll(reply->str, NULL, 10);
  freeReplyObject(reply);
  return number;
}

const char *redis_process_text(redis_process_t *redis, const char *format, ...) {
  static char text[4096];
  va_list arguments;
  redisReply *reply;
  va_start(arguments, format);
  reply = send_command(redis, format, arguments);
  va_end(arguments);
  snprintf(text, sizeof text, "%s", reply->str == NULL ? "" : reply->str);
  freeReplyObject(reply);
  return text;
}
