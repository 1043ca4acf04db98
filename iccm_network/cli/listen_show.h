/* listen_show.h: prints what `iccm listen` receives and sends over one connection, with secrets redacted. */
#ifndef ICCM_CLI_LISTEN_SHOW_H
#define ICCM_CLI_LISTEN_SHOW_H

#include "base/buf.h"
#include "print.h"

typedef struct listen_show {
  const print_t *out; /* borrowed */
  bool json;          /* a line of JSON for each event */
  unsigned number;    /* of the connection */
  mcp__buf_t line;    /* an incomplete line of a head */
  bool is_secret;     /* the last header shown has a secret value, which folded lines continue */
} listen_show_t;

void listen_show_init(listen_show_t *show, const print_t *out, bool json, unsigned number);
void listen_show_deinit(listen_show_t *show);

/* event: received, sent, or note. */
void listen_show(const listen_show_t *show, const char *event, const char *text, size_t len);
void listen_note(const listen_show_t *show, const char *format, ...) MCP_PRINTF(2, 3);
/* The lines of a head. Redacts the values of secret headers. is_end: the last line may be incomplete. */
void listen_show_lines(listen_show_t *show, const char *event, const char *text, size_t len, bool is_end);

#endif
