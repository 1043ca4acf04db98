/* pool_threads.h: counts the pool threads of this process. Memory that a handler freed last is released only
 * after its thread has ended. */
#ifndef POOL_THREADS_H
#define POOL_THREADS_H

#include <dirent.h>
#include <stdio.h>
#include <string.h>

static inline size_t pool_threads(void) {
  size_t count = 0;
  DIR *tasks = opendir("/proc/self/task");
  for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
    char path[300], name[16] = "";
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
    FILE *file = fopen(path, "r");
    if (file == NULL)
      continue; /* the thread has just ended */
    count += fgets(name, sizeof name, file) != NULL && strcmp(name, "mcp-pool\n") == 0;
    fclose(file);
  }
  closedir(tasks);
  return count;
}

#endif
