/* exit_codes.h: what `iccm` tells a script by its exit code. */
#ifndef ICCM_CLI_EXIT_CODES_H
#define ICCM_CLI_EXIT_CODES_H

/* The exit codes are a contract with scripts: --help and docs name them. */
enum {
  ICCM_OK = 0,
  ICCM_USAGE = 1,    /* nothing was sent: wrong usage, or this machine could not do it; trace: of nothing */
  ICCM_PROTOCOL = 2, /* a JSON-RPC error, a broken rule, a lost connection: the talk itself failed */
  ICCM_REFUSED = 3,  /* 401 or 403 */
  ICCM_UNREACHABLE = 4, /* no connection came about, for whatever reason, time included */
  ICCM_TOOL = 5,        /* the tool ran and failed */
  ICCM_TIMEOUT = 6,     /* an address has accepted the connection, but the answer did not come in time */
  ICCM_INTERRUPTED = 130
};

#endif
