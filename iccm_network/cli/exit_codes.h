/* exit_codes.h: the exit codes of `iccm`. */
#ifndef ICCM_CLI_EXIT_CODES_H
#define ICCM_CLI_EXIT_CODES_H

/* Scripts rely on the exit codes: do not change them. --help and the man page list them. */
enum {
  ICCM_OK = 0,
  ICCM_USAGE = 1,       /* nothing was sent: invalid usage or a local error; trace: no lines found */
  ICCM_PROTOCOL = 2,    /* a JSON-RPC error, a protocol violation or a lost connection */
  ICCM_REFUSED = 3,     /* HTTP 401 or 403 */
  ICCM_UNREACHABLE = 4, /* no address accepted a connection, for any reason, including a timeout */
  ICCM_TOOL = 5,        /* the tool ran and failed */
  ICCM_TIMEOUT = 6,     /* an address accepted the connection, but the response did not arrive in time */
  ICCM_INTERRUPTED = 130
};

#endif
