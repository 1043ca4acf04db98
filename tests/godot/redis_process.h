/* redis_process.h: a real redis-server on a free port, in a separate directory, killed when the test ends;
 * and commands to it. On an error each function fails the test. */
#ifndef REDIS_PROCESS_H
#define REDIS_PROCESS_H

#include <hiredis/hiredis.h>
#include <sys/types.h>

typedef struct redis_process {
  pid_t pid; /* 0: not running */
  int port;
  char directory[64];
  redisContext *context; /* for commands of the test */
} redis_process_t;

void redis_process_init(redis_process_t *redis); /* starts Redis, and waits until it replies */
void redis_process_deinit(redis_process_t *redis);

/* Starts Redis again, with the same port and data, and waits until it replies. */
void redis_process_start(redis_process_t *redis);
void redis_process_kill(redis_process_t *redis);

/* Sends a command. Returns the integer of the reply, or the number of its elements. */
long long redis_process_int(redis_process_t *redis, const char *format, ...);

/* Sends a command. Returns the text of the reply, valid until the next command; "" for nil. */
const char *redis_process_text(redis_process_t *redis, const char *format, ...);

#endif
