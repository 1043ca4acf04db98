/* ws_link.c: one WebSocket connection of a client.
 *
 * Happy path: TLS is started if needed, the upgrade request is sent, its response checked, on_open is called,
 * and messages are exchanged. After 20 s without data, a ping checks whether the peer is alive. Failure:
 * on_lost reports the reason, once, and the link frees itself when its handles are closed; on_freed is its
 * last callback. If the peer closed or violated the protocol, the remaining output is written and input is
 * discarded until the peer closes, for up to 1 s: closing a socket with unread input would reset the
 * connection and lose the close frame. */
#include "client/ws_link.h"

#include "transport/upgrade.h"
#include "transport/ws.h"

#include <stdio.h>
#include <string.h>

enum { PING_MS = 20000, PONG_MS = 20000, DRAIN_MS = 1000 };

typedef struct ws_link {
  mcp__link_t base; /* must be the first member */
  mcp__stream_t *stream;
  const mcp__link_events_t *events;
  void *arg;
  mcp__head_t *head; /* until the upgrade is complete */
  char key[MCP__UPGRADE_KEY_SIZE];
  mcp__ws_t ws;
  mcp__ws_config_t ws_config;
  uint64_t read_ms, pinged_ms; /* pinged_ms 0: no ping is pending */
  uint64_t closing_ms;         /* when a close frame was sent; 0: open */
  uv_timer_t drain;            /* while draining */
  bool draining;
  bool lost; /* on_lost was called, or the owner closed the link */
} ws_link_t;

static uint64_t link_now_ms(const ws_link_t *link) {
  return uv_now(link->stream->tcp.loop);
}

static void report_lost(ws_link_t *link, int status, const char *problem) {
  mcp__ws_pause(&link->ws, true);
  if (link->lost)
    return;
  link->lost = true;
  link->events->on_lost(status, problem, link->arg);
}

static void lose(ws_link_t *link, int status, const char *problem) {
  mcp__stream_close(link->stream);
  report_lost(link, status, problem);
}

static void on_drained(uv_timer_t *drain) {
  ws_link_t *link = drain->data;
  mcp__stream_close(link->stream);
}

static void start_draining(ws_link_t *link) {
  link->draining = true;
  uv_timer_init(link->stream->tcp.loop, &link->drain);
  link->drain.data = link;
  uv_timer_start(&link->drain, on_drained, DRAIN_MS, 0);
  mcp__stream_finish(link->stream);
}

static void drop_head(ws_link_t *link) {
  if (link->head != NULL)
    mcp__head_deinit(link->head);
  mcp__free(link->head);
  link->head = NULL;
  mcp__stream_set_secret(link->stream, false);
}

static void on_ws_message(mcp__buf_t *text, bool binary, void *arg) {
  ws_link_t *link = arg;
  (void)binary;
  if (!link->lost)
    link->events->on_message(text, 0, link->arg);
}

static int status_of_close(int code, bool clean) {
  if (clean)
    return code == MCP__CLOSE_BUSY ? MCP_EBUSY : MCP_EDISCONNECTED;
  return code == MCP__CLOSE_TOO_BIG ? MCP_ETOOBIG : code == MCP__CLOSE_INTERNAL ? UV_ENOMEM : MCP_EPROTOCOL;
}

static void on_ws_end(int code, const char *reason, bool clean, void *arg) {
  ws_link_t *link = arg;
  char problem[256];
  int status = status_of_close(code, clean);
  snprintf(problem, sizeof problem, "%s %d%s%s",
           clean                 ? "the peer closed with"
           : status == UV_ENOMEM ? "out of memory while receiving, closed with"
                                 : "protocol error by the peer, closed with",
           code, *reason != '\0' ? ": " : "", reason);
  if (link->lost)
    mcp__stream_close(link->stream); /* the peer answered our close frame */
  else
    start_draining(link);
  report_lost(link, status, problem);
}

/* Appends the first line of the body of a failed upgrade response, as far as it was received. */
static void append_body_line(char *problem, size_t size, const char *body, size_t len) {
  size_t at = strlen(problem), end = 0;
  while (end < len && end < 120 && (unsigned char)body[end] >= 0x20 && (unsigned char)body[end] < 0x7f)
    end++;
  if (end > 0)
    snprintf(problem + at, size - at, ": \"%.*s\"", (int)end, body);
}

static size_t on_head(ws_link_t *link, const char *data, size_t len) {
  char problem[384] = "the peer's response is not HTTP";
  size_t used;
  mcp__head_state_t state = mcp__head_feed(link->head, data, len, &used);
  if (state == MCP__HEAD_MORE)
    return len;
  int status = MCP_EUPGRADE;
  if (state == MCP__HEAD_DONE)
    status = mcp__check_switching(link->head, link->key, problem, sizeof problem);
  if (status != 0) {
    if (state == MCP__HEAD_DONE)
      append_body_line(problem, sizeof problem, data + used, len - used);
    lose(link, status, problem);
    return len;
  }
  drop_head(link);
  link->events->on_open(link->arg);
  return used;
}

static void on_data(mcp__stream_t *stream, const char *data, size_t len) {
  ws_link_t *link = stream->arg;
  size_t used = 0;
  link->read_ms = link_now_ms(link);
  link->pinged_ms = 0;
  if (link->head != NULL)
    used = on_head(link, data, len);
  if (used < len)
    mcp__ws_feed(&link->ws, (const uint8_t *)data + used, len - used);
  if (link->ws.pong_due)
    mcp__stream_dirty(stream);
}

static void on_end(mcp__stream_t *stream, int status) {
  ws_link_t *link = stream->arg;
  const char *what = status == UV_EOF     ? "the peer closed the connection"
                     : status == MCP_ETLS ? stream->tls->problem
                                          : mcp_strerror(status);
  bool secured = stream->tls == NULL || stream->tls->open;
  lose(link, !secured ? MCP_ETLS : link->head != NULL ? MCP_EUPGRADE : MCP_EDISCONNECTED, what);
}

static void before_write(mcp__stream_t *stream) {
  ws_link_t *link = stream->arg;
  mcp__ws_flush_pong(&link->ws);
}

static void free_link(ws_link_t *link) {
  const mcp__link_events_t *events = link->events;
  void *arg = link->arg;
  mcp__ws_deinit(&link->ws);
  drop_head(link);
  mcp__free(link->stream);
  mcp__free(link);
  events->on_freed(arg);
}

static void on_drain_closed(uv_handle_t *drain) {
  free_link(drain->data);
}

static void on_closed(mcp__stream_t *stream) {
  ws_link_t *link = stream->arg;
  if (link->draining)
    uv_close((uv_handle_t *)&link->drain, on_drain_closed);
  else
    free_link(link);
}

static const mcp__stream_events_t stream_events = {on_data, on_end, before_write, NULL, on_closed};

static void free_stream(mcp__stream_t *stream) {
  mcp__free(stream);
}

static const mcp__stream_events_t unlinked_events = {.on_closed = free_stream};

static void ignore_freed(void *arg) {
  (void)arg;
}

static const mcp__link_events_t ignore_events = {.on_freed = ignore_freed};

static bool write_upgrade(ws_link_t *link, const mcp__link_config_t *config) {
  mcp__stream_t *stream = link->stream;
  if (link->head == NULL || mcp__head_init(link->head, false) != 0 || mcp__upgrade_new_key(link->key) != 0 ||
      (config->tls != NULL &&
       mcp__stream_start_tls(stream, config->tls, config->url->host, config->verify) != 0))
    return false;
  mcp__stream_set_secret(stream, config->token != NULL);
  return mcp__write_upgrade(&stream->out, config->url->authority, config->url->path, link->key,
                            config->token) == 0;
}

static ws_link_t *link_of(mcp__link_t *base) {
  return (ws_link_t *)(void *)base;
}

static int send_message(mcp__link_t *base, mcp__link_write_t write, void *what) {
  ws_link_t *link = link_of(base);
  mcp__buf_t *out = &link->stream->out;
  size_t begin = mcp__ws_begin(&link->ws);
  if (begin == SIZE_MAX)
    return link->ws.close_sent ? MCP_EDISCONNECTED : UV_ENOMEM;
  int status = write(out, what);
  if (status == 0)
    status = mcp__ws_end(&link->ws, begin);
  if (status != 0)
    out->len = begin;
  mcp__stream_dirty(link->stream);
  return status;
}

static bool may_send(mcp__link_t *base) {
  (void)base;
  return true;
}

static bool is_stateless(const mcp__link_t *base) {
  (void)base;
  return false;
}

static size_t backlog(const mcp__link_t *base) {
  const ws_link_t *link = (const ws_link_t *)(const void *)base;
  return mcp__stream_backlog(link->stream);
}

static mcp_stage_t stage(const mcp__link_t *base) {
  const ws_link_t *link = (const ws_link_t *)(const void *)base;
  bool secured = link->stream->tls == NULL || link->stream->tls->open;
  return !secured ? MCP_STAGE_TLS : link->head != NULL ? MCP_STAGE_UPGRADE : MCP_STAGE_INITIALIZE;
}

static void set_reading(mcp__link_t *base, bool on) {
  ws_link_t *link = link_of(base);
  if (on == link->stream->reading)
    return;
  mcp__stream_read(link->stream, on);
  link->read_ms = link_now_ms(link); /* the ping interval restarts here */
  link->pinged_ms = 0;
}

static uint64_t tick(mcp__link_t *base, uint64_t now_ms) {
  ws_link_t *link = link_of(base);
  if (link->closing_ms != 0) {
    if (now_ms - link->closing_ms < DRAIN_MS)
      return link->closing_ms + DRAIN_MS;
    lose(link, MCP_ECLOSED, "closed");
    return now_ms + DRAIN_MS; /* in the future, so that the loop can handle other events */
  }
  if (link->pinged_ms != 0) {
    if (now_ms - link->pinged_ms < PONG_MS)
      return link->pinged_ms + PONG_MS;
    lose(link, MCP_EDISCONNECTED, "the peer does not answer pings");
    return now_ms + PONG_MS;
  }
  if (now_ms - link->read_ms < PING_MS || link->head != NULL)
    return link->read_ms + PING_MS;
  if (!link->stream->reading) /* a pong would not be read */
    return now_ms + PING_MS;
  if (mcp__ws_ping(&link->ws) == 0)
    mcp__stream_dirty(link->stream);
  link->pinged_ms = now_ms;
  return now_ms + PONG_MS;
}

static void close_link(mcp__link_t *base, bool politely) {
  ws_link_t *link = link_of(base);
  link->lost = true;
  if (!politely || link->head != NULL || mcp__ws_close(&link->ws, MCP__CLOSE_NORMAL, "") != 0) {
    mcp__ws_pause(&link->ws, true);
    mcp__stream_close(link->stream);
    return;
  }
  link->closing_ms = link_now_ms(link);
  mcp__stream_dirty(link->stream);
}

static const mcp__link_ops_t ops = {send_message, may_send,    is_stateless, backlog,
                                    stage,        set_reading, tick,         close_link};

mcp__link_t *mcp__ws_link_new(mcp__stream_t *stream, const mcp__link_config_t *config,
                              const mcp__link_events_t *events, void *arg) {
  ws_link_t *link = mcp__calloc(sizeof *link);
  if (link == NULL) {
    stream->events = &unlinked_events;
    mcp__stream_close(stream);
    return NULL;
  }
  link->base.ops = &ops;
  link->stream = stream;
  link->events = events;
  link->arg = arg;
  link->ws_config = (mcp__ws_config_t){.client = true,
                                       .max_message = config->max_message,
                                       .out = &stream->out,
                                       .on_message = on_ws_message,
                                       .on_end = on_ws_end,
                                       .arg = link};
  mcp__ws_init(&link->ws, &link->ws_config);
  stream->events = &stream_events;
  stream->arg = link;
  link->read_ms = link_now_ms(link);
  link->head = mcp__malloc(sizeof *link->head);
  if (!write_upgrade(link, config)) {
    link->lost = true;
    link->events = &ignore_events;
    mcp__stream_close(stream);
    return NULL;
  }
  mcp__stream_dirty(stream);
  mcp__stream_read(stream, true);
  return &link->base;
}
