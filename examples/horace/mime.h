/* mime.h: MIME types of files, from their first bytes and the extension of their name. Any thread. */
#ifndef HORACE_MIME_H
#define HORACE_MIME_H

#include <magic.h>
#include <pthread.h>
#include <stdbool.h>

enum { MIME_TYPE_SIZE = 128, MIME_EXTENSION_SIZE = 16 };

/* libmagic's state; the mutex admits one thread at a time. */
typedef struct mime_detector {
  pthread_mutex_t mutex;
  magic_t magic;
} mime_detector_t;

/* Returns false after logging the error. */
bool mime_open(mime_detector_t *detector);
void mime_close(mime_detector_t *detector);

/* The MIME type of an open file; path supplies the extension. */
void mime_detect(mime_detector_t *detector, int file, const char *path, char mime_type[MIME_TYPE_SIZE]);

/* "a/b.TXT" -> "txt"; "" without an extension or with one of 16 bytes or more. */
void mime_extension(const char *path, char extension[MIME_EXTENSION_SIZE]);

#endif
