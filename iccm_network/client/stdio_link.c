/* stdio_link.c: a link to a program on standard input and output.
 *
 * Happy path: server/discover finds out whether the program knows the version in which requests need no
 * session; an error, or no response within DISCOVER_MS, lets the client send initialize. Then each message is
 * one line. Failure: if the program ends before it answers server/discover, it is started once more and gets
 * initialize first, since some servers of older versions end at any other message. Later the end of the
 * program, or of one of its streams, loses the link, and so does text that is no message: a line of a log is
 * skipped with a warning, up to MAX_TEXT_BYTES without a message in between. */
#include "client/stdio_link.h"

#include "base/excerpt.h"
#include "base/json.h"
#include "client/handshake.h"
#include "client/outgoing.h"
#include "transport/program.h"
#include "transport/rate_limit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
  DISCOVER_MS = 3000,
  MAX_TEXT_BYTES = 1 << 20,
  MAX_BACKLOG = 1 << 20, /* unread bytes at which no further request is sent */
  NEVER_MS = 3600000
};

typedef enum phase { DISCOVERING, LEGACY, MODERN } phase_t;

typedef struct stdio_link {
  mcp__link_t base; /* must be the first member */
  uv_loop_t *loop;
  char **argv;
  size_t max_message;
  const mcp__link_events_t *events;
  void *arg;
  mcp__program_t *program;
  unsigned open_parts; /* programs that are not freed yet, and the timer */
  uv_timer_t timer;    /* for the response to server/discover, and for on_open */
  phase_t phase;
  bool asked;         /* the response to server/discover is expected */
  bool may_fall_back; /* server/discover is asked if initialize is refused */
  bool fell_back;
  bool passed;  /* the client got a message, so it does without that response */
  bool ended;   /* lost or closed: no callback but on_freed follows */
  bool waiting; /* on_ready is due when the output is written */
  size_t text_bytes;
  mcp__log_throttle_t texts; /* lines that are no messages since the last warning */
} stdio_link_t;

static stdio_link_t *link_of(mcp__link_t *base) {
  return (stdio_link_t *)(void *)base;
}

/* ---- the end --------------------------------------------------------------------------------------- */

static void part_closed(stdio_link_t *link) {
  if (--link->open_parts > 0)
    return;
  const mcp__link_events_t *events = link->events;
  void *arg = link->arg;
  mcp__free(link);
  events->on_freed(arg);
}

static void on_timer_closed(uv_handle_t *timer) {
  part_closed(timer->data);
}

static void end(stdio_link_t *link, bool at_once) {
  link->ended = true;
  mcp__program_stop(link->program, at_once);
  if (!uv_is_closing((uv_handle_t *)&link->timer))
    uv_close((uv_handle_t *)&link->timer, on_timer_closed);
}

static void lose(stdio_link_t *link, int status, const char *problem) {
  if (link->ended)
    return;
  end(link, true);
  link->events->on_lost(status, problem, link->arg);
}

/* ---- the handshake --------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer) {
  stdio_link_t *link = timer->data;
  if (link->phase == DISCOVERING)
    link->phase = LEGACY;
  link->events->on_open(link->arg);
}

/* The client gets on_open from the timer, since the caller may be the client. */
static void open_later(stdio_link_t *link, phase_t phase) {
  link->phase = phase;
  uv_timer_start(&link->timer, on_timer, 0, 0);
}

/* The response to server/discover; it may come after the client has sent initialize. */
static void take_discover(stdio_link_t *link, yyjson_val *root) {
  char problem[320];
  mcp__era_verdict_t verdict = mcp__judge_discover(200, root);
  link->asked = false;
  if (link->passed)
    return;
  if (verdict == MCP__IS_NO_SERVER) {
    mcp__describe_refusal(root, problem, sizeof problem);
    lose(link, MCP_EUPGRADE, problem);
  } else if (verdict == MCP__IS_MODERN) {
    if (link->fell_back && link->events->on_discovered != NULL)
      link->events->on_discovered(yyjson_obj_get(root, "result"), link->arg);
    open_later(link, MODERN);
  } else if (link->phase == DISCOVERING) {
    open_later(link, LEGACY);
  }
}

static void ask(stdio_link_t *link);

/* Whether a line is the refusal of initialize by a server that may know newer versions alone. */
static bool take_if_refusal(stdio_link_t *link, const mcp__buf_t *line) {
  mcp__json_error_t error;
  yyjson_doc *doc = mcp__json_read(line->data, line->len, &mcp__json_alc, &error);
  yyjson_val *root = yyjson_doc_get_root(doc);
  bool is_response = yyjson_obj_get(root, "id") != NULL && yyjson_obj_get(root, "method") == NULL;
  bool is_refusal = is_response && yyjson_is_obj(yyjson_obj_get(root, "error"));
  link->may_fall_back = link->may_fall_back && !is_response;
  yyjson_doc_free(doc);
  if (!is_refusal)
    return false;
  link->fell_back = true;
  ask(link);
  return true;
}

static bool take_if_discover(stdio_link_t *link, const mcp__buf_t *line) {
  mcp__json_error_t error;
  yyjson_doc *doc = mcp__json_read(line->data, line->len, &mcp__json_alc, &error);
  yyjson_val *root = yyjson_doc_get_root(doc);
  bool is_response = yyjson_obj_get(root, "result") != NULL || yyjson_obj_get(root, "error") != NULL;
  bool is_mine = is_response &&
                 (yyjson_equals_str(yyjson_obj_get(root, "id"), "discover") || link->phase == DISCOVERING);
  if (is_mine)
    take_discover(link, root);
  yyjson_doc_free(doc);
  return is_mine;
}

/* ---- events of the program ------------------------------------------------------------------------- */

/* Text that cannot be a message: programs print it by mistake. */
static void skip_text(stdio_link_t *link, const mcp__buf_t *line) {
  char excerpt[MCP__EXCERPT_SIZE], problem[MCP__EXCERPT_SIZE + 128];
  link->texts.count++;
  link->text_bytes += line->len + 1;
  bool is_due = mcp__log_throttle_take(&link->texts, uv_now(link->loop)) > 0;
  if (!is_due && link->text_bytes <= MAX_TEXT_BYTES)
    return;
  mcp__excerpt(excerpt, line->data, line->len);
  snprintf(problem, sizeof problem,
           "the program prints text that is no message on standard output (print to standard error): %s",
           excerpt);
  if (is_due)
    mcp_log(MCP_LOG_WARN, "client", "%s: %s", link->argv[0], problem);
  if (link->text_bytes > MAX_TEXT_BYTES)
    lose(link, MCP_EPROTOCOL, problem);
}

static void on_line(mcp__buf_t *line, void *arg) {
  stdio_link_t *link = arg;
  size_t blanks = 0;
  while (blanks < line->len && (line->data[blanks] == ' ' || line->data[blanks] == '\t'))
    blanks++;
  if (blanks == line->len || line->data[blanks] != '{') {
    skip_text(link, line);
    return;
  }
  if (link->asked && take_if_discover(link, line))
    return;
  if (link->may_fall_back && take_if_refusal(link, line))
    return;
  if (link->phase == DISCOVERING) { /* nothing but that was requested */
    skip_text(link, line);
    return;
  }
  link->text_bytes = 0;
  link->passed = true;
  link->events->on_message(line, 0, link->arg);
}

static void on_discarded(int status, void *arg) {
  lose(arg, status,
       status == UV_ENOMEM ? "out of memory while receiving a message"
                           : "the program sent a message that is larger than the limit");
}

static void on_written(void *arg) {
  stdio_link_t *link = arg;
  if (!link->waiting || mcp__stdio_backlog(&link->program->stdio) >= MAX_BACKLOG)
    return;
  link->waiting = false;
  link->events->on_ready(link->arg);
}

static bool start(stdio_link_t *link);

static void on_ended(int status, const char *problem, void *arg) {
  stdio_link_t *link = arg;
  bool began = status != MCP_ECONNECT;
  if (link->phase == DISCOVERING && began && !link->fell_back) {
    mcp__program_t *first = link->program;
    link->asked = false;
    if (start(link)) {
      mcp__program_stop(first, true);
      open_later(link, LEGACY);
      return;
    }
    link->program = first;
  }
  lose(link, began && link->phase != MODERN && !link->passed ? MCP_EUPGRADE : status, problem);
}

static void on_freed(void *arg) {
  part_closed(arg);
}

static const mcp__program_events_t program_events = {on_line, on_discarded, on_written, on_ended, on_freed};

static bool start(stdio_link_t *link) {
  static char transport[] = "ICCM_TRANSPORT=stdio"; /* servers of this library then use it */
  link->program = mcp__program_start(link->loop, link->argv, transport, STDERR_FILENO, link->max_message,
                                     &program_events, link);
  link->open_parts += link->program != NULL;
  return link->program != NULL;
}

/* ---- the operations of a link ---------------------------------------------------------------------- */

/* Appends the text of a message to the output, in the form of the server's version. */
static int write_text(stdio_link_t *link, const char *text, size_t len) {
  mcp__stdio_t *stdio = &link->program->stdio;
  mcp__outgoing_t message;
  if (link->phase == LEGACY)
    return mcp__stdio_write_line(stdio, text, len);
  int status = mcp__outgoing_read(&message, text, len, MCP__ERA_MODERN, SIZE_MAX / 4);
  if (status != 0)
    return status;
  status = mcp__stdio_write_line(stdio, message.body.data, message.body.len);
  mcp__outgoing_deinit(&message);
  return status;
}

static int send_message(mcp__link_t *base, mcp__link_write_t write, void *what) {
  stdio_link_t *link = link_of(base);
  mcp__buf_t text;
  if (link->ended)
    return MCP_EDISCONNECTED;
  mcp__buf_init(&text, SIZE_MAX / 4, NULL);
  int status = write(&text, what);
  if (status == 0)
    status = write_text(link, text.data, text.len);
  mcp__buf_deinit(&text);
  mcp__stdio_flush(&link->program->stdio);
  return status;
}

static bool may_send(mcp__link_t *base) {
  stdio_link_t *link = link_of(base);
  link->waiting = !link->ended && mcp__stdio_backlog(&link->program->stdio) >= MAX_BACKLOG;
  return !link->ended && !link->waiting;
}

static bool is_stateless(const mcp__link_t *base) {
  return ((const stdio_link_t *)(const void *)base)->phase == MODERN;
}

static size_t backlog(const mcp__link_t *base) {
  return mcp__stdio_backlog(&((const stdio_link_t *)(const void *)base)->program->stdio);
}

static mcp_stage_t stage(const mcp__link_t *base) {
  (void)base;
  return MCP_STAGE_INITIALIZE;
}

static void set_reading(mcp__link_t *base, bool on) {
  mcp__stdio_read(&link_of(base)->program->stdio, on);
}

static uint64_t tick(mcp__link_t *base, uint64_t now_ms) {
  (void)base; /* it has a timer itself */
  return now_ms + NEVER_MS;
}

static void close_link(mcp__link_t *base, bool politely) {
  end(link_of(base), !politely);
}

static const mcp__link_ops_t ops = {send_message, may_send,    is_stateless, backlog,
                                    stage,        set_reading, tick,         close_link};

/* ---- creation -------------------------------------------------------------------------------------- */

static void ask(stdio_link_t *link) {
  static const char text[] = "{\"jsonrpc\":\"2.0\",\"id\":\"discover\",\"method\":\"server/discover\"}";
  link->phase = DISCOVERING;
  link->asked = write_text(link, text, sizeof text - 1) == 0;
  mcp__stdio_flush(&link->program->stdio);
  uv_timer_start(&link->timer, on_timer, link->asked ? DISCOVER_MS : 0, 0);
}

mcp__link_t *mcp__stdio_link_new(uv_loop_t *loop, char **argv, const mcp__link_config_t *config,
                                 const mcp__link_events_t *events, void *arg) {
  stdio_link_t *link = mcp__calloc(sizeof *link);
  if (link == NULL)
    return NULL;
  link->base.ops = &ops;
  link->loop = loop;
  link->argv = argv;
  link->max_message = config->max_message;
  link->events = events;
  link->arg = arg;
  if (!start(link)) {
    mcp__free(link);
    return NULL;
  }
  uv_timer_init(loop, &link->timer);
  link->timer.data = link;
  link->open_parts++;
  link->may_fall_back = config->needs_session;
  if (config->needs_session)
    open_later(link, LEGACY);
  else
    ask(link);
  return &link->base;
}
