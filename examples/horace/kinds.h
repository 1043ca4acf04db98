/* kinds.h: MIME types of files, by their first bytes and their name's extension. Any thread. */
#ifndef HORACE_KINDS_H
#define HORACE_KINDS_H

#include <magic.h>
#include <pthread.h>
#include <stdbool.h>

enum { KIND_SIZE = 128, EXTENSION_SIZE = 16 };

/* libmagic's state, of which only one thread may make use at a time. */
typedef struct kinds {
  pthread_mutex_t mutex;
  magic_t magic;
} kinds_t;

/* False: the log says why. */
bool kinds_open(kinds_t *kinds);
void kinds_close(kinds_t *kinds);

/* The MIME type of an open file; path: for its extension. */
void kinds_read(kinds_t *kinds, int file, const char *path, char kind[KIND_SIZE]);

/* "a/b.TXT" -> "txt"; "" where there is none, or one of 16 bytes or more. */
void kinds_extension(const char *path, char extension[EXTENSION_SIZE]);

#endif
