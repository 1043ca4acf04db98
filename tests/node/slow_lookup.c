/* slow_lookup: preloaded, it makes the lookup of slow.invalid take three seconds. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

__attribute__((visibility("default"))) int getaddrinfo(const char *host, const char *service,
                                                       const struct addrinfo *hints, struct addrinfo **list) {
  union {
    void *symbol;
    int (*function)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
  } real = {dlsym(RTLD_NEXT, "getaddrinfo")};
  if (host == NULL || strcmp(host, "slow.invalid") != 0)
    return real.function(host, service, hints, list);
  sleep(3);
  return EAI_NONAME;
}
