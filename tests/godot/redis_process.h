/* redis_process.h: a real redis-server on a free port, in a directory of its own, that dies with the test;
 * and plain questions to it. Every function fails the test where it cannot do what it says. */
#ifndef REDIS_PROCESS_H
#define REDIS_PROCESS_H

#include <hiredis/hiredis.h>
#include <sys/types.h>

typedef struct redis_process {
  pid_t pid; /* 0: not running */
  int port;
  char directory[64];
  redisContext *context; /* for the test's own questions */
} redis_process_t;

void redis_process_init(redis_process_t *redis); /* started, and answering */
void redis_process_deinit(redis_process_t *redis);

/* Again, with the same port and data; waits until it answers. */
void redis_process_start(redis_process_t *redis);
void redis_process_kill(redis_process_t *redis);

/* Asks; the integer, or the number of elements, of the answer. */
long long redis_process_int(redis_process_t *redis, const char *format, ...);

/* Asks; the text of the answer, which lives until the next question. "": nil. */
const char *redis_process_text(redis_process_t *redis, const char *format, ...);

#endif
