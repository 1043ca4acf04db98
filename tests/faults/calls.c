/* calls.c: replacements for functions of the C library that make system calls. The linker resolves calls of
 * the library and of libuv to these. Each calls the original, or fails as the original would.
 *
 * Faults are injected into reads, writes and other operations on Internet sockets, the creation of
 * descriptors and threads, and name resolution. epoll_ctl, epoll_wait and the I/O on libuv's eventfd never
 * fail, because libuv aborts the process in that case. */
#define _GNU_SOURCE    /* RTLD_NEXT, accept4 */
#undef _FORTIFY_SOURCE /* with it the headers define the originals as inline functions */
#include "faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { SHORTENED = -1, ENDED = -2, SLICE_MS = 1 };

typedef struct outcome {
  int error;
  const char *name;
} outcome_t;

#define E(error)                                                                                             \
  { error, #error }
static const outcome_t reads[] = {
    E(ECONNRESET), {SHORTENED, "one byte"}, {ENDED, "end"}, E(ETIMEDOUT), E(EINTR), E(EAGAIN)};
static const outcome_t writes[] = {E(EPIPE),  {SHORTENED, "one byte"}, E(ECONNRESET), E(EAGAIN), E(EINTR),
                                   E(ENOBUFS)};
static const outcome_t accepts[] = {E(EMFILE), E(ECONNABORTED), E(ENFILE), E(ENOBUFS), E(EAGAIN), E(EINTR)};
static const outcome_t connects[] = {E(ECONNREFUSED), E(EADDRNOTAVAIL), E(ETIMEDOUT), E(ENETUNREACH),
                                     E(ENOBUFS)};
static const outcome_t descriptors[] = {E(EMFILE), E(ENFILE), E(ENOMEM)};
static const outcome_t binds[] = {E(EADDRINUSE), E(EACCES), E(ENOBUFS)};
static const outcome_t others[] = {E(ENOBUFS), E(EINVAL), E(ENOTCONN)};
static const outcome_t threads[] = {E(EAGAIN), E(EPERM)};
static const outcome_t names[] = {E(EAI_AGAIN), E(EAI_MEMORY), E(EAI_NONAME), E(EAI_FAIL)};
#undef E

static int chosen(const char *call, const outcome_t *outcomes, size_t count) {
  const outcome_t *outcome = &outcomes[faults_variant() % count];
  faults_note(call, outcome->name);
  return outcome->error;
}

/* Returns the errno to inject, or 0. */
#define STRIKE(call, outcomes)                                                                               \
  (faults_should_fail(true) ? chosen(call, outcomes, sizeof outcomes / sizeof *outcomes) : 0)

/* Also the socket that is standard input and output in a scenario. */
static bool is_network(int fd) {
  int domain = 0, before = errno;
  socklen_t len = sizeof domain;
  bool is = syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
            (domain == AF_INET || domain == AF_INET6 || domain == AF_UNIX);
  errno = before;
  return is;
}

static int fail(int error) {
  errno = error;
  return -1;
}

/* ---- input and output --------------------------------------------------------------------------------- */

ssize_t read(int fd, void *data, size_t len) {
  int error = is_network(fd) ? STRIKE("read", reads) : 0;
  if (error > 0)
    return fail(error);
  if (error == ENDED)
    return 0;
  return syscall(SYS_read, fd, data, error == SHORTENED && len > 1 ? 1 : len);
}

ssize_t write(int fd, const void *data, size_t len) {
  int error = is_network(fd) ? STRIKE("write", writes) : 0;
  if (error > 0)
    return fail(error);
  return syscall(SYS_write, fd, data, error == SHORTENED && len > 1 ? 1 : len);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  int error = is_network(fd) ? STRIKE("writev", writes) : 0;
  if (error > 0)
    return fail(error);
  if (error == SHORTENED)
    return syscall(SYS_write, fd, parts->iov_base, 1);
  return syscall(SYS_writev, fd, parts, count);
}

/* ---- sockets ------------------------------------------------------------------------------------------ */

int socket(int domain, int type, int protocol) {
  int error = STRIKE("socket", descriptors);
  return error != 0 ? fail(error) : (int)syscall(SYS_socket, domain, type, protocol);
}

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *len, int flags) {
  int error = STRIKE("accept4", accepts);
  return error != 0 ? fail(error) : (int)syscall(SYS_accept4, fd, address.__sockaddr__, len, flags);
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t len) {
  int error = is_network(fd) ? STRIKE("connect", connects) : 0;
  return error != 0 ? fail(error) : (int)syscall(SYS_connect, fd, address.__sockaddr__, len);
}

int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t len) {
  int error = STRIKE("bind", binds);
  return error != 0 ? fail(error) : (int)syscall(SYS_bind, fd, address.__sockaddr__, len);
}

int listen(int fd, int backlog) {
  int error = STRIKE("listen", binds);
  return error != 0 ? fail(error) : (int)syscall(SYS_listen, fd, backlog);
}

int shutdown(int fd, int how) {
  int error = STRIKE("shutdown", others);
  return error != 0 ? fail(error) : (int)syscall(SYS_shutdown, fd, how);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len) {
  int error = level != IPPROTO_TCP ? STRIKE("setsockopt", others)
                                   : 0; /* other types: the kernel waits, in real time */
  return error != 0 ? fail(error) : (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}

int getsockname(int fd, __SOCKADDR_ARG address, socklen_t *len) {
  int error = STRIKE("getsockname", others);
  return error != 0 ? fail(error) : (int)syscall(SYS_getsockname, fd, address.__sockaddr__, len);
}

int getpeername(int fd, __SOCKADDR_ARG address, socklen_t *len) {
  int error = STRIKE("getpeername", others);
  return error != 0 ? fail(error) : (int)syscall(SYS_getpeername, fd, address.__sockaddr__, len);
}

/* ---- descriptors, threads, names ---------------------------------------------------------------------- */

int eventfd(unsigned count, int flags) {
  int error = STRIKE("eventfd", descriptors);
  return error != 0 ? fail(error) : (int)syscall(SYS_eventfd2, count, flags);
}

int epoll_create1(int flags) {
  int error = STRIKE("epoll_create1", descriptors);
  return error != 0 ? fail(error) : (int)syscall(SYS_epoll_create1, flags);
}

int pipe2(int fds[2], int flags) {
  int error = STRIKE("pipe2", descriptors);
  return error != 0 ? fail(error) : (int)syscall(SYS_pipe2, fds, flags);
}

typedef int (*pthread_create_t)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
typedef int (*getaddrinfo_t)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int pthread_create(pthread_t *id, const pthread_attr_t *attributes, void *(*begin)(void *), void *arg) {
  int error = STRIKE("pthread_create", threads);
  if (error != 0)
    return error;
  pthread_create_t original;
  *(void **)&original = dlsym(RTLD_NEXT, "pthread_create");
  return original(id, attributes, begin, arg);
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list) {
  int error = STRIKE("getaddrinfo", names);
  if (error != 0)
    return error;
  getaddrinfo_t original;
  *(void **)&original = dlsym(RTLD_NEXT, "getaddrinfo");
  return original(host, service, hints, list);
}

/* ---- time --------------------------------------------------------------------------------------------- */

static atomic_ullong leapt_ms;
static int leap_ms = 20;

void faults_set_clock_speed(int ms) {
  leap_ms = ms;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int status = (int)syscall(SYS_clock_gettime, clock, now);
  if (status == 0 && (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE)) {
    uint64_t ms = atomic_load(&leapt_ms);
    now->tv_nsec += (long)(ms % 1000) * 1000000;
    now->tv_sec += (time_t)(ms / 1000) + now->tv_nsec / 1000000000;
    now->tv_nsec %= 1000000000;
  }
  return status;
}

uint64_t faults_skipped_ms(void) {
  return atomic_load(&leapt_ms);
}

uint64_t faults_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The main thread sleeps for a slice, so that other threads run, and the clock jumps by the rest of the
 * time-out. Other threads wake up after each slice, because the clock may have jumped. */
static int wait_for_events(int epoll, struct epoll_event *events, int max, int timeout_ms) {
  bool cut = timeout_ms > SLICE_MS;
  int count = (int)syscall(SYS_epoll_pwait, epoll, events, max, cut ? SLICE_MS : timeout_ms, NULL, 8);
  if (count == 0 && cut && gettid() == getpid())
    atomic_fetch_add(&leapt_ms, (unsigned)(timeout_ms < leap_ms ? timeout_ms : leap_ms));
  return count;
}

int epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms) {
  return wait_for_events(epoll, events, max, timeout_ms);
}

int epoll_pwait(int epoll, struct epoll_event *events, int max, int timeout_ms, const sigset_t *mask) {
  (void)mask; /* always NULL in this program */
  return wait_for_events(epoll, events, max, timeout_ms);
}
