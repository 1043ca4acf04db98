/* test_spool.c: batches on disk are read in order, also after kills and after damage to files. */
#include "leaks.h"
#include "spool.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <iccm_network.h>
#include <wait_limit.h>

enum { LARGE_SPOOL = 1 << 30, KILLS = 100 };

static char directory[64];

static void make_directory(void) {
  strcpy(directory, "/tmp/test-spool-XXXXXX");
  cr_assert_not_null(mkdtemp(directory));
}

static void remove_directory(void) {
  char command[96];
  snprintf(command, sizeof command, "rm -r %s", directory);
  cr_assert_eq(system(command), 0);
  expect_no_leak();
}

TestSuite(spool, .init = make_directory, .fini = remove_directory);

static spool_t *reopen(spool_t *spool) {
  spool_close(spool);
  spool = spool_open(directory, "w", LARGE_SPOOL);
  cr_assert_not_null(spool);
  return spool;
}

static mode_t mode_of(const char *name) {
  char path[96];
  struct stat stat_of;
  snprintf(path, sizeof path, "%s/%s", directory, name);
  cr_assert_eq(stat(path, &stat_of), 0);
  return stat_of.st_mode & 07777;
}

Test(spool, is_closed_to_others_also_where_it_was_open) {
  char path[96];
  spool_t *spool = reopen(NULL);
  cr_assert_eq(mode_of("w"), 0700);
  snprintf(path, sizeof path, "%s/w", directory);
  cr_assert_eq(chmod(path, 0755), 0);
  spool = reopen(spool);
  cr_assert_eq(mode_of("w"), 0700);
  spool_close(spool);
}

/* Appends a batch that consists of its number and len bytes. */
static int append(spool_t *spool, int number, size_t len) {
  char text[16];
  char *filler = calloc(1, len + 1);
  const mcp_text_t entries[] = {{text, (size_t)snprintf(text, sizeof text, "%d", number)}, {filler, len}};
  int status = spool_append(spool, entries, 2);
  free(filler);
  return status;
}

/* Returns the number of the oldest batch, or -1 if there is none. */
static int peek(spool_t *spool) {
  spool_record_t record;
  char text[16] = "";
  cr_assert_eq(spool_peek(spool, &record), 0);
  if (record.count == 0)
    return -1;
  cr_assert_eq(record.count, 2);
  cr_assert_lt(record.entries[0].len, sizeof text);
  memcpy(text, record.entries[0].ptr, record.entries[0].len);
  return atoi(text);
}

static int peek_and_drop(spool_t *spool) {
  int number = peek(spool);
  spool_drop(spool);
  return number;
}

/* Sets path to the file with this ending. Returns false if there is none. */
static bool find_file(const char *ending, char path[400]) {
  char place[80];
  const struct dirent *entry;
  bool found = false;
  snprintf(place, sizeof place, "%s/w", directory);
  DIR *dir = opendir(place);
  while (!found && (entry = readdir(dir)) != NULL) {
    found = strlen(entry->d_name) > strlen(ending) &&
            strcmp(entry->d_name + strlen(entry->d_name) - strlen(ending), ending) == 0;
    if (found)
      snprintf(path, 400, "%s/%s", place, entry->d_name);
  }
  closedir(dir);
  return found;
}

Test(spool, first_in_first_out) {
  spool_t *spool = reopen(NULL);
  char path[400];
  cr_assert(spool_is_empty(spool));
  cr_assert_eq(peek(spool), -1);
  for (int i = 0; i < 5; i++)
    cr_assert_eq(append(spool, i, 10), 0);
  cr_assert_not(spool_is_empty(spool));
  cr_assert_eq(peek_and_drop(spool), 0);
  cr_assert_eq(peek(spool), 1);
  cr_assert_eq(peek(spool), 1, "until it is dropped");
  cr_assert_eq(append(spool, 5, 10), 0, "while it is being read");
  for (int i = 1; i < 6; i++)
    cr_assert_eq(peek_and_drop(spool), i);
  cr_assert(spool_is_empty(spool));
  cr_assert_eq(spool_bytes(spool), 0);
  cr_assert_not(find_file(".segment", path), "nothing is left");
  cr_assert_eq(append(spool, 6, 10), 0);
  cr_assert_eq(peek_and_drop(spool), 6);
  spool_close(spool);
}

Test(spool, comes_back_after_a_restart_with_its_place) {
  spool_t *spool = reopen(NULL);
  spool_record_t first, again;
  char id[40];
  append(spool, 1, 3 << 20);
  append(spool, 2, 3 << 20);
  spool = reopen(spool);
  append(spool, 3, 3 << 20); /* in a new segment */
  spool_peek(spool, &first);
  snprintf(id, sizeof id, "%s", first.segment);
  cr_assert_eq(first.offset, 0);
  spool_drop(spool);
  spool = reopen(spool);
  spool_peek(spool, &again);
  cr_assert_str_eq(again.segment, id, "a segment that is not read to its end is read again");
  cr_assert_eq(again.offset, 0);
  for (int i = 1; i < 4; i++)
    cr_assert_eq(peek_and_drop(spool), i);
  cr_assert_eq(peek_and_drop(spool), -1);
  spool_close(spool);
}

Test(spool, is_bounded) {
  spool_t *spool = spool_open(directory, "w", 1000);
  int status = 0;
  int count = 0;
  for (; status == 0; count += status == 0)
    status = append(spool, count, 100);
  cr_assert_eq(status, MCP_ENOSPC);
  cr_assert_eq(count, 8);
  cr_assert_leq(spool_bytes(spool), 1000);
  for (int i = 0; i < count; i++)
    cr_assert_eq(peek_and_drop(spool), i);
  cr_assert_eq(append(spool, 9, 100), 0, "there is room again");
  spool_close(spool);
}

Test(spool, belongs_to_one_process) {
  spool_t *spool = reopen(NULL);
  cr_assert_null(spool_open(directory, "w", LARGE_SPOOL));
  spool_t *other = spool_open(directory, "another", LARGE_SPOOL);
  cr_assert_not_null(other);
  spool_close(other);
  spool_close(spool);
  cr_assert_null(spool_open("/dev/null", "w", LARGE_SPOOL));
}

static void write_file(const char *path, const char *bytes, size_t len) {
  int fd = open(path, O_WRONLY | O_TRUNC);
  cr_assert_eq(write(fd, bytes, len), (ssize_t)len);
  close(fd);
}

Test(spool, cut_at_each_byte_keeps_all_that_is_whole) {
  spool_t *spool = reopen(NULL);
  char path[400], bytes[400];
  int64_t ends[3];
  int fd;
  for (int i = 0; i < 3; i++) {
    cr_assert_eq(append(spool, i, 10), 0);
    ends[i] = spool_bytes(spool);
  }
  spool_close(spool);
  cr_assert(find_file(".segment", path));
  fd = open(path, O_RDONLY);
  cr_assert_eq(read(fd, bytes, sizeof bytes), ends[2]);
  close(fd);
  for (int64_t size = 0; size <= ends[2]; size++) {
    int whole = (size >= ends[0]) + (size >= ends[1]) + (size >= ends[2]);
    write_file(path, bytes, (size_t)size);
    spool = reopen(NULL);
    cr_assert_eq(spool_bytes(spool), whole == 0 ? 0 : ends[whole - 1]);
    for (int i = 0; i < whole; i++) {
      cr_assert_eq(peek(spool), i);
      if (i < whole - 1)
        spool_drop(spool); /* the file is removed with its last record */
    }
    spool_close(spool);
  }
}

static void flip_bit(const char *path, int64_t offset) {
  int fd = open(path, O_RDWR);
  char byte;
  cr_assert_eq(pread(fd, &byte, 1, offset), 1);
  byte ^= 0x10;
  cr_assert_eq(pwrite(fd, &byte, 1, offset), 1);
  close(fd);
}

Test(spool, a_damaged_segment_is_put_aside_and_the_next_one_read) {
  spool_t *spool = reopen(NULL);
  char path[400], bad[400];
  int64_t first;
  append(spool, 0, 10);
  first = spool_bytes(spool);
  append(spool, 1, 10);
  append(spool, 2, 10);
  cr_assert(find_file(".segment", path));
  flip_bit(path, first + 20);
  spool = reopen(spool);
  append(spool, 3, 10);
  cr_assert_eq(peek_and_drop(spool), 0);
  cr_assert_eq(peek_and_drop(spool), 3);
  cr_assert_eq(peek_and_drop(spool), -1);
  cr_assert(find_file(".bad", bad), "kept for the operator");
  cr_assert_gt(spool_bytes(spool), 0, "its size still counts");
  spool_close(spool);
}

Test(spool, a_disk_without_room_costs_nothing_that_was_saved) {
  spool_t *spool = reopen(NULL);
  pid_t child;
  int status;
  append(spool, 0, 10);
  spool_close(spool);
  child = fork();
  if (child == 0) { /* a limit on the file size has the effect of a full disk */
    spool = spool_open(directory, "w", LARGE_SPOOL);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, 4096});
    bool good = append(spool, 1, 100) == 0 && append(spool, 2, 8192) == -EFBIG && append(spool, 3, 100) == 0;
    spool_close(spool);
    _exit(good ? 0 : 1);
  }
  cr_assert_eq(waitpid(child, &status, 0), child);
  cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  spool = reopen(NULL);
  cr_assert_eq(peek_and_drop(spool), 0);
  cr_assert_eq(peek_and_drop(spool), 1);
  cr_assert_eq(peek_and_drop(spool), 3);
  cr_assert_eq(peek_and_drop(spool), -1);
  spool_close(spool);
}

/* ---- SIGKILL ---- */

typedef struct event {
  bool taken; /* false: appended */
  int number;
} event_t;

/* Appends and takes batches until it is killed, and reports each completed operation. */
static void append_and_take(int pipe_end, int next, unsigned seed) {
  spool_t *spool = spool_open(directory, "w", LARGE_SPOOL);
  srandom(seed);
  for (;; next++) {
    event_t event = {false, next};
    if (append(spool, next, (size_t)random() % 100000) != 0 || write(pipe_end, &event, sizeof event) < 0)
      _exit(1);
    for (long takes = random() % 3; takes > 0; takes--) {
      event = (event_t){true, peek(spool)};
      if (event.number >= 0 && write(pipe_end, &event, sizeof event) < 0)
        _exit(1);
      spool_drop(spool);
    }
  }
}

/* Runs one process and kills it at a random moment. Then batches up to *appended are on disk, except that
 * those up to *taken may have been removed. */
static void run_and_kill(int *appended, int *taken, unsigned seed) {
  int ends[2], last = -1;
  event_t event;
  pid_t child;
  const struct timespec run_time = {.tv_nsec = 1000000 + random() % 20000000};
  struct pollfd started = {.events = POLLIN};
  cr_assert_eq(pipe(ends), 0);
  child = fork();
  if (child == 0)
    append_and_take(ends[1], *appended + 1, seed);
  close(ends[1]);
  started.fd = ends[0];
  if (seed % 2 == 0) /* the other processes may be killed while they start */
    cr_assert_eq(poll(&started, 1, (int)wait_limit_ms()), 1);
  nanosleep(&run_time, NULL);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  while (read(ends[0], &event, sizeof event) == (ssize_t)sizeof event) {
    if (!event.taken) {
      cr_assert_eq(event.number, *appended + 1);
      *appended = event.number;
      continue;
    }
    cr_assert(last < 0 ? event.number <= *taken + 1 : event.number == last + 1 || event.number == last,
              "%d after %d, taken %d", event.number, last, *taken);
    last = event.number;
    *taken = last > *taken ? last : *taken;
  }
  close(ends[0]);
}

Test(spool, killed_again_and_again_loses_nothing) {
  int appended = 0, taken = 0, number, last = -1;
  spool_t *spool;
  srandom(17);
  for (unsigned i = 0; i < KILLS; i++)
    run_and_kill(&appended, &taken, i);
  cr_assert_gt(appended, KILLS / 10);
  cr_assert_gt(taken, 0);
  spool = reopen(NULL);
  for (; (number = peek_and_drop(spool)) >= 0; last = number)
    cr_assert(last < 0 ? number <= taken + 1 : number == last + 1 || number == last, "%d after %d", number,
              last);
  cr_assert(last >= appended || (last < 0 && taken >= appended), "%d of %d", last, appended);
  spool_close(spool);
}
