/* killer.c: runs a program and kills it with SIGKILL right before its N-th change to a directory.
 *
 * usage: killer N DIRECTORY PROGRAM [ARGUMENT]...
 *
 * Counting begins on SIGUSR1, or at once if N begins with '+'; N 0 never kills. A change is a system call
 * that writes, creates, moves, removes, resizes or syncs, however the program makes it (C library, another
 * library, syscall(2)); a change of a descriptor counts if that is below DIRECTORY.
 *
 * A seccomp filter stops the program at these system calls only; killer examines it by ptrace(2), and at
 * the N-th prints its name, kills the program with all its threads, and exits with 137. If the program
 * ends by itself, killer exits with its status. SIGTERM is forwarded.
 *
 * It exits with 77 if a program cannot be traced. If killer ends, the program ends too
 * (PTRACE_O_EXITKILL). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOT_HERE = 77, KILLED = 137, BY_PATH = -1 };

/* fd: the argument with the descriptor that is changed; flags: the argument with the flags of open(2), 0:
 * none. */
typedef struct change {
  const char *name;
  uint32_t number;
  int fd, flags;
} change_t;

#define BY(call, fd, flags)                                                                                  \
  { #call, SYS_##call, fd, flags }
static const change_t changes[] = {
    BY(openat, BY_PATH, 2),    BY(openat2, BY_PATH, 2),  BY(renameat, BY_PATH, 0), BY(renameat2, BY_PATH, 0),
    BY(unlinkat, BY_PATH, 0),  BY(mkdirat, BY_PATH, 0),  BY(linkat, BY_PATH, 0),   BY(symlinkat, BY_PATH, 0),
    BY(fchmodat, BY_PATH, 0),  BY(fchownat, BY_PATH, 0), BY(write, 0, 0),          BY(writev, 0, 0),
    BY(pwrite64, 0, 0),        BY(pwritev, 0, 0),        BY(ftruncate, 0, 0),      BY(fallocate, 0, 0),
    BY(fsync, 0, 0),           BY(fdatasync, 0, 0),      BY(fchmod, 0, 0),         BY(fchown, 0, 0),
    BY(copy_file_range, 2, 0), BY(sendfile, 0, 0),       BY(utimensat, 0, 0),      BY(ioctl, 0, 0),
#ifdef SYS_open /* newer architectures have only the others */
    BY(open, BY_PATH, 1),      BY(rename, BY_PATH, 0),   BY(unlink, BY_PATH, 0),   BY(rmdir, BY_PATH, 0),
    BY(mkdir, BY_PATH, 0),     BY(link, BY_PATH, 0),     BY(chmod, BY_PATH, 0),    BY(chown, BY_PATH, 0),
#endif
};
enum { CHANGES = sizeof changes / sizeof *changes };

static volatile sig_atomic_t counting;
static pid_t program;
static const char *directory;

static void on_start(int number) {
  (void)number;
  counting = 1;
}

static void on_term(int number) {
  kill(program, number);
}

/* In the child: report these system calls to the tracer from now on. */
static int filter_calls(void) {
  struct sock_filter code[2 * CHANGES + 2] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
  size_t at = 1;
  for (size_t i = 0; i < CHANGES; i++) {
    code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, changes[i].number, 0, 1);
    code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
  }
  code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog filter = {.len = (unsigned short)at, .filter = code};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

static void run(char **command) {
  if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
    _exit(NOT_HERE);
  raise(SIGSTOP); /* until the tracer has set its options */
  if (filter_calls() != 0)
    _exit(NOT_HERE);
  execv(command[0], command);
  perror(command[0]);
  _exit(NOT_HERE);
}

static bool leads_there(pid_t thread, int fd) {
  char link[64], target[PATH_MAX] = {0};
  snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)thread, fd);
  return readlink(link, target, sizeof target - 1) > 0 && strncmp(target, directory, strlen(directory)) == 0;
}

/* Returns the change that the thread is about to make, or NULL. */
static const change_t *change_of(pid_t thread) {
  struct __ptrace_syscall_info info = {0};
  const change_t *change = NULL;
  if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) <= 0)
    return NULL; /* it is being killed */
  for (size_t i = 0; i < CHANGES && change == NULL; i++)
    if (changes[i].number == info.seccomp.nr)
      change = &changes[i];
  if (change == NULL || (change->number == SYS_ioctl && info.seccomp.args[1] != FICLONE))
    return NULL;
  if (change->fd != BY_PATH)
    return leads_there(thread, (int)info.seccomp.args[change->fd]) ? change : NULL;
  uint64_t flags = change->flags > 0 ? info.seccomp.args[change->flags] : O_CREAT;
  if (change->number == SYS_openat2) /* the first member of the struct it points to */
    flags = (uint64_t)ptrace(PTRACE_PEEKDATA, thread, (void *)(uintptr_t)flags, NULL);
  return flags & (O_CREAT | O_TRUNC) ? change : NULL;
}

/* Kills all threads and waits until all have ended. */
static int end(unsigned long count, const char *name) {
  fprintf(stderr, "killer: before change %lu, %s\n", count, name);
  kill(program, SIGKILL);
  while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
    continue;
  return KILLED;
}

static int trace(unsigned long last) {
  unsigned long count = 0;
  for (;;) {
    int status, deliver = 0;
    pid_t thread = waitpid(-1, &status, __WALL);
    if (thread < 0 && errno == EINTR)
      continue;
    if (thread == program && WIFEXITED(status))
      return WEXITSTATUS(status);
    if (thread == program && WIFSIGNALED(status))
      return 128 + WTERMSIG(status);
    if (!WIFSTOPPED(status))
      continue; /* a thread has ended */
    if (status >> 16 == PTRACE_EVENT_SECCOMP) {
      const change_t *change = counting ? change_of(thread) : NULL;
      if (change != NULL && ++count == last)
        return end(count, change->name);
    } else if (status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP) { /* the stop at which each thread begins */
      deliver = WSTOPSIG(status);
    }
    ptrace(PTRACE_CONT, thread, NULL, (void *)(intptr_t)deliver);
  }
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fputs("usage: killer N DIRECTORY PROGRAM [ARGUMENT]...\n", stderr);
    return 2;
  }
  directory = argv[2];
  counting = argv[1][0] == '+';
  sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_start}, NULL);
  program = fork();
  if (program == 0)
    run(argv + 3);
  sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_term}, NULL);
  long options = PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESECCOMP;
  int status;
  if (program < 0 || waitpid(program, &status, 0) != program || !WIFSTOPPED(status) ||
      ptrace(PTRACE_SETOPTIONS, program, NULL, (void *)options) != 0 ||
      ptrace(PTRACE_CONT, program, NULL, NULL) != 0) {
    perror("killer: programs cannot be traced here");
    return NOT_HERE;
  }
  return trace(strtoul(argv[1], NULL, 10));
}
