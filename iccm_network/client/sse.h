/* sse.h: reads a stream of server-sent events (WHATWG HTML, "Server-sent events"), in pieces of any size;
 * pure.
 */
#ifndef MCP_SSE_H
#define MCP_SSE_H

#include "base/buf.h"

enum {
  MCP__SSE_TYPE_MAX = 63, /* bytes of an event's type; a longer one is kept as "?", which is no known type */
  MCP__SSE_FIELD_MAX = 5, /* bytes of the longest field name that is read */
  MCP__SSE_ID_MAX =
      255 /* bytes of an event's id; a longer one, or one that no header can hold, counts as "" */
};

typedef enum mcp__sse_field {
  MCP__SSE_NAME,
  MCP__SSE_DATA,
  MCP__SSE_TYPE,
  MCP__SSE_ID,
  MCP__SSE_RETRY,
  MCP__SSE_OTHER
} mcp__sse_field_t;

typedef struct mcp__sse {
  /* Called for each event that has data. The receiver may swap data. Returns false to stop reading. */
  bool (*on_event)(struct mcp__sse *sse, void *arg);
  void *arg;
  mcp__buf_t data;                   /* of the event: its data lines, joined by line feeds */
  char type[MCP__SSE_TYPE_MAX + 1];  /* "": a message */
  char last_id[MCP__SSE_ID_MAX + 1]; /* of the events so far; "": none */
  uint64_t retry_ms;                 /* when to reconnect after the end of the stream; UINT64_MAX: unknown */
  /* The line being read: its field name so far, then which field its value belongs to. */
  char name[MCP__SSE_FIELD_MAX + 1];
  size_t name_len, type_len;
  char id[MCP__SSE_ID_MAX + 1]; /* of the event being read */
  size_t id_len;
  bool id_is_bad;
  uint64_t retry; /* the value being read; UINT64_MAX: it is no number */
  mcp__sse_field_t field;
  bool has_data;     /* the event has a data line */
  bool value_begun;  /* the blank behind the colon was skipped, or is not there */
  bool after_return; /* a line feed belongs to the carriage return before it */
  unsigned mark;     /* bytes of a byte order mark at the beginning that were read; 3: behind it */
} mcp__sse_t;

/* max: bytes of the data of an event. */
void mcp__sse_init(mcp__sse_t *sse, size_t max, bool (*on_event)(mcp__sse_t *sse, void *arg), void *arg);
void mcp__sse_deinit(mcp__sse_t *sse);
/* Takes the next bytes. 0, MCP_ETOOBIG or UV_ENOMEM. */
int mcp__sse_feed(mcp__sse_t *sse, const char *data, size_t len);

#endif
