/* dead.c: what an operator does with dead letters: looks at them, gives them back to the queue, or throws
 * them away.
 *
 * Happy path: connect to Redis, go through the letters in pieces, from the oldest to the one that was the
 * newest at the start, say what was done, exit with 0. It works on Redis itself, since Godot's tools are
 * fixed and a letter is for whoever runs Godot, not for whoever may log. Failure modes: no Redis, or one that
 * goes in the middle: one line and status 1; a piece is done or not, none is lost, and the command can be
 * given again.
 */
#include "dead.h"

#include "config.h"
#include "redis_queue.h"

#include <iccm_network.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { PIECE = 100 }; /* letters at a time: 25 MiB at most */

typedef struct dead {
  queue_t *queue;
  const char *verb;
  int64_t left;        /* letters still to be looked at */
  int64_t seen, moved; /* so far */
  bool begun, ended;
  int status; /* to exit with */
} dead_t;

static void on_closed(void *arg) {
  (void)arg;
}

static void end(dead_t *dead, int status) {
  if (dead->ended)
    return;
  dead->ended = true;
  dead->status = status;
  queue_close(dead->queue, on_closed, NULL);
}

static void say(const dead_t *dead) {
  if (strcmp(dead->verb, "replay") == 0)
    printf("%lld given back to the queue, %lld stay: they do not hold their whole entry\n",
           (long long)dead->moved, (long long)(dead->seen - dead->moved));
  else if (strcmp(dead->verb, "discard") == 0)
    printf("%lld discarded\n", (long long)dead->moved);
}

static void ask(dead_t *dead);

static void on_letters(int status, const queue_letters_t *letters, void *arg) {
  dead_t *dead = arg;
  if (dead->ended)
    return;
  if (status != 0) {
    fprintf(stderr, "godot-worker: Redis: %s\n", mcp_strerror(status));
    end(dead, 1);
    return;
  }
  for (size_t i = 0; i < letters->count; i++)
    printf("%.*s\n", (int)letters->texts[i].len, letters->texts[i].text);
  if (dead->seen == 0 && letters->total < dead->left)
    dead->left = letters->total; /* later ones, and those that stay, are not looked at again */
  dead->seen += letters->seen;
  dead->moved += letters->moved;
  dead->left -= letters->seen;
  if (letters->seen > 0 && dead->left > 0) {
    ask(dead);
    return;
  }
  say(dead);
  end(dead, fflush(stdout) == 0 ? 0 : 1);
}

static void ask(dead_t *dead) {
  int64_t most = dead->left < PIECE ? dead->left : PIECE;
  int status = queue_dead(dead->queue, dead->verb, most, dead->seen, on_letters, dead);
  if (status != 0)
    on_letters(status, NULL, dead);
}

static void on_redis(const char *reason, void *arg) {
  dead_t *dead = arg;
  if (reason != NULL && !dead->ended) {
    fprintf(stderr, "godot-worker: Redis: %s\n", reason);
    dead->status = 1;
    dead->left = 0;
  } else if (reason == NULL && !dead->begun) {
    dead->begun = true;
    ask(dead);
  }
}

static int usage(void) {
  fprintf(stderr,
          "Usage: godot-worker dead list|replay|discard [N]\n"
          "The N oldest dead letters, or all of them: as lines of JSON, back to the queue, or away.\n");
  return 2;
}

/* "list", "replay 20"; false: something else. */
static bool read_words(int argc, char **argv, dead_t *dead) {
  static const char *const verbs[] = {"list", "replay", "discard"};
  char *rest = NULL;
  dead->left = QUEUE_MAX_DEAD;
  for (int i = 0; argc >= 2 && i < 3; i++)
    if (strcmp(argv[1], verbs[i]) == 0)
      dead->verb = verbs[i];
  if (argc == 3)
    dead->left = strtoll(argv[2], &rest, 10);
  return dead->verb != NULL && argc <= 3 && dead->left > 0 &&
         (rest == NULL || (*rest == '\0' && rest != argv[2]));
}

int dead_main(int argc, char **argv) {
  dead_t dead = {0};
  config_t config;
  uv_loop_t loop;
  if (!read_words(argc, argv, &dead))
    return usage();
  if (config_read(&config) != 0 || uv_loop_init(&loop) != 0)
    return 1;
  dead.queue = queue_new(&loop, &config);
  if (dead.queue == NULL)
    return 1;
  queue_start(dead.queue, on_redis, NULL, &dead);
  while (!dead.ended && uv_run(&loop, UV_RUN_ONCE) != 0)
    if (dead.left == 0 && dead.status != 0)
      end(&dead, 1); /* not within the callback that says that Redis is away */
  uv_run(&loop, UV_RUN_DEFAULT);
  uv_loop_close(&loop);
  return dead.status;
}
