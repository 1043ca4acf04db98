/* replay.c: main() of a target built without libFuzzer: runs it on each file of a corpus.
 *
 * usage: TARGET FILE|DIRECTORY... A failed check ends the process; the last line names the file. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static int replayed;

static bool replay_file(const char *path) {
  static uint8_t data[1 << 20];
  FILE *file = fopen(path, "rb");
  if (file == NULL)
    return false;
  size_t len = fread(data, 1, sizeof data, file);
  bool fine = ferror(file) == 0 && len < sizeof data;
  fclose(file);
  printf("%s\n", path);
  fflush(stdout);
  if (fine)
    LLVMFuzzerTestOneInput(data, len);
  replayed += fine;
  return fine;
}

static bool replay_directory(const char *path) {
  struct dirent **entries;
  bool fine = true;
  int count = scandir(path, &entries, NULL, alphasort);
  for (int i = 0; i < count; i++) {
    char file[4096];
    snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
    fine &= entries[i]->d_name[0] == '.' || replay_file(file);
    free(entries[i]);
  }
  if (count >= 0)
    free(entries);
  return fine && count > 0;
}

int main(int argc, char **argv) {
  bool fine = true;
  for (int i = 1; i < argc; i++) {
    struct stat about;
    bool one = stat(argv[i], &about) == 0 &&
               (S_ISDIR(about.st_mode) ? replay_directory(argv[i]) : replay_file(argv[i]));
    if (!one)
      fprintf(stderr, "%s: cannot be read\n", argv[i]);
    fine &= one;
  }
  printf("%d inputs\n", replayed);
  return fine && replayed > 0 ? 0 : 1;
}
