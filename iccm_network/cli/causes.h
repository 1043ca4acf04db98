/* causes.h: what can be wrong with a connection: how bad it is, why it is so, and what to do. */
#ifndef ICCM_CLI_CAUSES_H
#define ICCM_CLI_CAUSES_H

typedef enum verdict { VERDICT_OK, VERDICT_WARNING, VERDICT_FAILED } verdict_t;

typedef enum cause_id {
  CAUSE_NONE, /* all is well */
  CAUSE_NO_TIME_TO_CONNECT,
  CAUSE_NO_TIME,
  /* the name */
  CAUSE_NAME_UNKNOWN,
  CAUSE_NAME_LATE,
  /* one of its addresses */
  CAUSE_REFUSED,
  CAUSE_REFUSED_LOOPBACK,
  CAUSE_REFUSED_OTHER_ACCEPTS,
  CAUSE_LOOPBACK_ONLY,
  CAUSE_LOOPBACK_ONLY_SEEN_INSIDE,
  CAUSE_DEAD_ADDRESS,
  CAUSE_DEAD_OTHER_ACCEPTS,
  CAUSE_NO_MACHINE,
  CAUSE_NO_ROUTE,
  CAUSE_NO_ROUTE_OTHER_ACCEPTS,
  CAUSE_NO_CONNECTION,
  /* the upgrade */
  CAUSE_UPGRADE_SILENT,
  CAUSE_UPGRADE_CLOSED,
  CAUSE_TLS,
  CAUSE_SSH,
  CAUSE_REDIS,
  CAUSE_NOT_HTTP,
  CAUSE_UPGRADE_UNFINISHED,
  CAUSE_PAGE,
  CAUSE_REDIRECT,
  CAUSE_BAD_REQUEST,
  CAUSE_UNAUTHORIZED,
  CAUSE_FORBIDDEN,
  CAUSE_NO_PATH,
  CAUSE_GATEWAY,
  CAUSE_BUSY,
  CAUSE_OTHER_STATUS,
  CAUSE_WRONG_ACCEPT,
  CAUSE_WRONG_SWITCH,
  /* the talk */
  CAUSE_INITIALIZE_CLOSED,
  CAUSE_INITIALIZE_SILENT,
  CAUSE_INITIALIZE_ERROR,
  CAUSE_NOT_JSON,
  CAUSE_TOOLS_MISSING,
  CAUSE_TOOLS_ERROR,
  CAUSE_SILENT,
  CAUSE_CLOSED,
  CAUSE_NO_PONG,
  CAUSE_NO_MCP_PING,
  CAUSE_LARGE_LIMIT,
  CAUSE_LARGE_CLOSED,
  CAUSE_LARGE_SILENT,
  CAUSE_BAD_JSON_SILENT,
  CAUSE_BAD_JSON_CLOSED,
  CAUSE_BAD_JSON_ANSWER,
  CAUSE_COUNT
} cause_id_t;

typedef struct cause {
  verdict_t verdict;
  int exit_code;    /* of cli.h; counts where the verdict is VERDICT_FAILED */
  const char *name; /* for programs: stays the same when the words get better */
  const char *why;  /* "": nothing to say */
  const char *what_to_do;
} cause_t;

const cause_t *cause_of(cause_id_t id);

#endif
