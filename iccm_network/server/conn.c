/* conn.c: one connection of a server.
 *
 * Happy path: the head of the upgrade comes in, is judged and answered with 101; from then on each message is
 * taken apart, dispatched, and either answered at once or run as a call whose answer comes when it is ready.
 * Calls beyond 64 wait for others to end; reading pauses while too many wait, too much output does, or memory
 * is scarce, so that a peer's haste costs the peer alone. Failure: a plain HTTP answer before the upgrade, a
 * close frame behind it; both are written, input is discarded for up to a second, and the connection goes.
 * Calls in flight lose their connection and go on to their end. */
#include "server/server.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char busy[] = "busy: the memory for messages is used up, retry later";

static void close_now(mcp__conn_t *conn);

static mcp__conn_t *conn_of(mcp__stream_t *stream) {
  return stream->arg;
}

static uint64_t now(const mcp__conn_t *conn) {
  return uv_now(conn->server->loop);
}

/* What its buffers hold may have changed. */
static void charge(mcp__conn_t *conn) {
  size_t now = mcp__stream_memory(&conn->stream) + conn->ws.message.cap + conn->input.cap;
  if (conn->address != NULL)
    mcp__account_charge(&conn->account, &conn->charged, conn->state == MCP__CONN_CLOSED ? 0 : now);
}

/* ---- ending ---------------------------------------------------------------------------------------- */

static void drop_handshake(mcp__conn_t *conn) {
  if (conn->head == NULL)
    return;
  mcp__head_deinit(conn->head);
  mcp__free(conn->head);
  conn->head = NULL;
  mcp__stream_set_secret(&conn->stream, false);
  conn->server->handshakes--;
}

static void abandon_calls(mcp__conn_t *conn) {
  if (conn->kept != NULL)
    mcp__call_give_back(conn->kept);
  conn->kept = NULL;
  while (conn->waiting != NULL)
    mcp__call_abandon(conn->waiting);
  while (conn->calls != NULL)
    mcp__call_abandon(conn->calls);
}

/* Who is not let in takes its answer without keeping others out; where too many do, the oldest has had its
 * time. */
static void give_up_place(mcp__conn_t *conn) {
  mcp_server_t *server = conn->server;
  mcp__conn_t **own = server->leaving;
  server->connections -= conn->counted;
  conn->counted = false;
  for (size_t i = 0; i < MCP__MAX_LEAVING && *own != NULL; i++)
    if (server->leaving[i] == NULL || server->leaving[i]->since_ms < (*own)->since_ms)
      own = &server->leaving[i];
  mcp__conn_t *oldest = *own;
  if (oldest != NULL) {
    mcp__stream_flush(&oldest->stream);
    close_now(oldest);
  }
  *own = conn;
  conn->leaving = own;
}

/* The last words are in out: write them, say that nothing follows, and wait for the peer to go. */
static void start_closing(mcp__conn_t *conn) {
  if (conn->state >= MCP__CONN_CLOSING)
    return;
  if (conn->state == MCP__CONN_HANDSHAKE)
    give_up_place(conn);
  drop_handshake(conn);
  conn->state = MCP__CONN_CLOSING;
  conn->since_ms = now(conn);
  conn->stalled_bytes = 0;
  mcp__buf_deinit(&conn->input);
  mcp__buf_deinit(&conn->ws.message);
  charge(conn);
  abandon_calls(conn);
  mcp__stream_finish(&conn->stream);
  mcp__stream_read(&conn->stream, true);
}

static void close_now(mcp__conn_t *conn) {
  if (conn->state == MCP__CONN_CLOSED)
    return;
  if (conn->state == MCP__CONN_OPEN)
    mcp__event_disconnected(conn, MCP_LOG_DEBUG, 0, "");
  drop_handshake(conn);
  if (conn->leaving != NULL)
    *conn->leaving = NULL;
  conn->state = MCP__CONN_CLOSED;
  charge(conn); /* what libuv still holds is freed in this turn of the loop */
  abandon_calls(conn);
  mcp__stream_close(&conn->stream);
}

static void close_with(mcp__conn_t *conn, int code, const char *reason) {
  if (conn->state != MCP__CONN_OPEN)
    return;
  mcp__event_disconnected(conn, code == MCP__CLOSE_RESTART ? MCP_LOG_DEBUG : MCP_LOG_WARN, code, reason);
  if (code != MCP__CLOSE_RESTART)
    mcp__count_refusal(&conn->server->counts, code);
  mcp__ws_close(&conn->ws, code, reason);
  start_closing(conn);
}

static void on_closed(mcp__stream_t *stream) {
  mcp__conn_t *conn = conn_of(stream);
  mcp__ws_deinit(&conn->ws);
  mcp__buf_deinit(&conn->input);
  mcp__free(conn->trace_id);
  mcp__free(conn->hello);
  if (conn->address != NULL)
    mcp__budget_part(&conn->server->memory, conn->address);
  mcp__server_conn_gone(conn->server, conn);
  mcp__free(conn);
}

/* ---- memory ---------------------------------------------------------------------------------------- */

/* It may be a while until it takes its last words, and they would keep what it does not read: then it goes
 * without. */
static void give_way(mcp__conn_t *conn) {
  bool unread = mcp__stream_backlog(&conn->stream) > MCP__BACKLOG_PAUSE;
  close_with(conn, MCP__CLOSE_BUSY, busy);
  if (unread)
    close_now(conn);
}

/* Whether something is gained where it goes: calls in flight keep their memory to their end. */
static bool could_give_way(const mcp__conn_t *conn) {
  return conn->state == MCP__CONN_OPEN && (conn->ws.message.cap > MCP__GATE_FROM_BYTES ||
                                           mcp__stream_backlog(&conn->stream) > MCP__BACKLOG_PAUSE);
}

static mcp__conn_t *heaviest_other(mcp__conn_t *conn, size_t more) {
  mcp__conn_t *heaviest = NULL;
  for (mcp__conn_t *other = conn->server->conns; other != NULL; other = other->next)
    if (other != conn && could_give_way(other) &&
        mcp__budget_outweighs(&other->account, &conn->account, more) &&
        (heaviest == NULL || other->account.used > heaviest->account.used))
      heaviest = other;
  return heaviest;
}

/* Who would still hold more than this one gives way to it. */
static bool make_room(mcp__conn_t *conn, size_t more) {
  while (!mcp__budget_has(&conn->server->memory, more)) {
    mcp__conn_t *heaviest = heaviest_other(conn, more);
    if (heaviest == NULL)
      return false;
    give_way(heaviest);
  }
  return true;
}

static void note_room(mcp__conn_t *conn, bool there) {
  if (there)
    conn->starved_ms = 0;
  else if (conn->starved_ms == 0)
    conn->starved_ms = now(conn);
}

/* The gate of the buffer that a message is received into. */
static bool has_room(size_t more, void *arg) {
  mcp__conn_t *conn = arg;
  charge(conn);
  bool there = make_room(conn, more);
  note_room(conn, there);
  return there;
}

/* No HTTP is spoken in TLS's handshake; whoever tries gets an answer that he can read, all others OpenSSL's
 * alert. */
static void end_handshake(mcp__conn_t *conn) {
  static const char in_handshake[] = " in TLS's handshake";
  const mcp__tls_t *tls = conn->stream.tls;
  mcp__buf_t words;
  mcp__event_summed(conn, in_handshake, "refused", in_handshake, tls->problem);
  mcp__count_refusal(&conn->server->counts, MCP_ETLS);
  if (tls->fault != MCP__TLS_NOT_SPOKEN)
    return;
  mcp__buf_init(&words, 1024, NULL);
  mcp__write_plain(&words, 400,
                   "this port speaks TLS: use wss:// instead of ws://, https:// instead of http://\n");
  mcp__stream_last_words(&conn->stream, &words);
  mcp__buf_deinit(&words);
}

/* End of file and errors alike: without a close frame there is nothing to answer. */
static void on_end(mcp__stream_t *stream, int status) {
  static const char broken[] = " for what it sent in TLS";
  mcp__conn_t *conn = conn_of(stream);
  if (status == MCP_ETLS && !stream->tls->open)
    end_handshake(conn);
  else if (status == MCP_ETLS)
    mcp__event_summed(conn, broken, "closed", broken, stream->tls->problem);
  close_now(conn);
}

/* ---- answers --------------------------------------------------------------------------------------- */

static int render_internal_error(mcp__buf_t *out, const mcp__addressee_t *to, const void *what) {
  (void)what;
  return mcp__jsonrpc_error(out, to->id, to->id_len, MCP_INTERNAL_ERROR, "the answer could not be made", NULL,
                            0);
}

static int write_message(mcp__conn_t *conn, const mcp__addressee_t *to, mcp__render_cb render,
                         const void *what) {
  mcp__buf_t *out = &conn->stream.out;
  size_t begin = mcp__ws_begin(&conn->ws);
  if (begin == SIZE_MAX)
    return UV_ENOMEM;
  int status = render(out, to, what);
  size_t len = out->len - begin;
  if (status == 0)
    status = mcp__ws_end(&conn->ws, begin);
  if (status != 0)
    out->len = begin;
  else if (len > conn->largest_answer)
    conn->largest_answer = len;
  return status;
}

bool mcp__conn_is_closing(const mcp__conn_t *conn) {
  return conn->state != MCP__CONN_OPEN;
}

/* Backlog is looked at when the loop has turned: a burst of answers that the kernel takes at once is none. */
int mcp__conn_answer(mcp__conn_t *conn, const mcp__addressee_t *to, mcp__render_cb render, const void *what) {
  if (conn->state != MCP__CONN_OPEN)
    return MCP_ESTATE;
  int status = write_message(conn, to, render, what);
  mcp__stream_dirty(&conn->stream);
  if (status != 0 && write_message(conn, to, render_internal_error, NULL) != 0)
    close_with(conn, MCP__CLOSE_INTERNAL, "out of memory for an answer");
  charge(conn);
  if (!mcp__budget_has(&conn->server->memory, 0))
    mcp__server_tick_soon(conn->server); /* when what the kernel takes at once is written */
  return status;
}

static int render_text(mcp__buf_t *out, const mcp__addressee_t *to, const void *what) {
  (void)to;
  return mcp__buf_puts(out, what);
}

void mcp__conn_notify(mcp__conn_t *conn, const char *text) {
  if (conn->state != MCP__CONN_OPEN || mcp__stream_backlog(&conn->stream) > MCP__BACKLOG_PAUSE)
    return;
  write_message(conn, NULL, render_text, text);
  mcp__stream_dirty(&conn->stream);
}

/* Told right before the next write: once, however many tools have come and gone by then. */
void mcp__conn_tools_changed(mcp__conn_t *conn) {
  if (conn->state != MCP__CONN_OPEN || !conn->initialized || conn->revision < MCP__2025_03_26)
    return;
  conn->tools_changed = true;
  mcp__stream_dirty(&conn->stream);
}

static void tell_tools_changed(mcp__conn_t *conn) {
  static const char text[] = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}";
  if (conn->tools_changed && write_message(conn, NULL, render_text, text) == 0)
    conn->tools_changed = false;
}

/* ---- the notice ------------------------------------------------------------------------------------- */

/* Who asks for the notice is told at once, that is: behind the answer, and whenever there is another. */
static void keep_hello(mcp__conn_t *conn, yyjson_val *hello) {
  size_t len = 0;
  char *text = yyjson_val_write_opts(hello, 0, &mcp__json_alc, &len, NULL);
  mcp__free(conn->hello);
  conn->hello = text;
  if (len > MCP__HELLO_BYTES) {
    mcp__free(text);
    conn->hello = NULL;
  }
  mcp__conn_notice_changed(conn);
}

void mcp__conn_notice_changed(mcp__conn_t *conn) {
  if (conn->state != MCP__CONN_OPEN || conn->hello == NULL)
    return;
  conn->notice_due = true;
  mcp__stream_dirty(&conn->stream);
}

static int render_notice(mcp__buf_t *out, const mcp__addressee_t *to, const void *what) {
  const mcp__conn_t *conn = what;
  mcp_server_t *server = conn->server;
  size_t len = 0;
  char method[MCP__NOTICE_BYTES + sizeof "notifications/"];
  (void)to;
  snprintf(method, sizeof method, "notifications/%s", server->notice);
  mcp__json_error_t error;
  yyjson_doc *hello = mcp__json_read(conn->hello, strlen(conn->hello), &mcp__json_alc, &error);
  yyjson_mut_doc *doc =
      hello != NULL ? server->notice_cb(server, yyjson_doc_get_root(hello), server->notice_arg) : NULL;
  char *params = doc != NULL ? yyjson_mut_write_opts(doc, 0, &mcp__json_alc, &len, NULL) : NULL;
  int status = params != NULL ? mcp__jsonrpc_request(out, 0, method, params, len) : UV_ECANCELED;
  mcp__free(params);
  yyjson_mut_doc_free(doc);
  yyjson_doc_free(hello);
  return status;
}

static void tell_notice(mcp__conn_t *conn) {
  if (!conn->notice_due)
    return;
  conn->notice_due = false;
  if (conn->hello != NULL) /* else another initialize came behind the one that asked */
    write_message(conn, NULL, render_notice, conn);
}

/* ---- outcomes --------------------------------------------------------------------------------------- */

static int render_outcome(mcp__buf_t *out, const mcp__addressee_t *to, const void *what) {
  const mcp__outcome_t *outcome = what;
  if (outcome->action == MCP__DO_ANSWER) {
    int status = mcp__jsonrpc_begin_result(out, to->id, to->id_len);
    status = mcp__buf_join(status, mcp__buf_puts(out, outcome->before));
    status = mcp__buf_join(status, mcp__buf_append(out, outcome->result, outcome->result_len));
    status = mcp__buf_join(status, mcp__buf_puts(out, outcome->after));
    return mcp__buf_join(status, mcp__buf_puts(out, "}"));
  }
  if (outcome->action == MCP__DO_REFUSE_CALL && to->revision >= MCP__2025_11_25) /* as that revision asks */
    return mcp__answer_tool_error(out, to, outcome->code, outcome->problem, NULL, 0);
  return mcp__jsonrpc_error(out, to->id, to->id_len, outcome->code, outcome->problem, outcome->data,
                            outcome->data_len);
}

/* ---- messages -------------------------------------------------------------------------------------- */

static bool has_id(const mcp_call_t *call, uint32_t hash, const char *id, size_t id_len) {
  return call->id_hash == hash && !call->silent && mcp__id_same(call->to.id, call->to.id_len, id, id_len);
}

static mcp_call_t *find_in_flight(mcp__conn_t *conn, uint32_t hash, const char *id, size_t id_len) {
  for (mcp_call_t *call = conn->calls; call != NULL; call = call->next)
    if (has_id(call, hash, id, id_len) && !atomic_load(&call->parent.cancelled))
      return call;
  return NULL;
}

static mcp_call_t *find_waiting(mcp__conn_t *conn, uint32_t hash, const char *id, size_t id_len) {
  for (mcp_call_t *call = conn->waiting; call != NULL; call = call->next)
    if (has_id(call, hash, id, id_len))
      return call;
  return NULL;
}

static void cancel(mcp__conn_t *conn, const char *id, size_t id_len) {
  uint32_t hash = mcp__id_hash(id, id_len);
  mcp_call_t *call = find_in_flight(conn, hash, id, id_len);
  if (call == NULL)
    call = find_waiting(conn, hash, id, id_len);
  if (call != NULL)
    mcp__call_cancel(call);
}

static const char *copy_trace_id(const mcp__conn_t *conn, mcp__arena_t *arena) {
  char *copy = conn->trace_id != NULL ? mcp__arena_alloc(arena, strlen(conn->trace_id) + 1) : NULL;
  return copy != NULL ? strcpy(copy, conn->trace_id) : NULL; /* the call may outlive the connection */
}

static void count_message(mcp__conn_t *conn) {
  if (conn->second != conn->server->second)
    conn->messages = 0;
  conn->second = conn->server->second;
  conn->messages += conn->server->max_messages > 0;
}

static bool too_hasty(const mcp__conn_t *conn) {
  const mcp_server_t *server = conn->server;
  return server->max_messages > 0 && conn->second == server->second && conn->messages >= server->max_messages;
}

/* Of calls that nobody waits for none is forgotten when their peer leaves: what comes behind them is not read
 * before they have begun. */
static bool too_many_wait(const mcp__conn_t *conn) {
  return conn->waiting_count >= MCP__MAX_WAITING || conn->waiting_bytes >= MCP__WAITING_BYTES ||
         conn->waiting_silent > 0;
}

/* While it has calls: their end gives memory back, and resumes. */
static bool holds_too_much(const mcp__conn_t *conn) {
  return (conn->calls != NULL || conn->waiting != NULL) &&
         mcp__budget_is_over(&conn->server->memory, conn->address, &conn->account);
}

static bool should_pause(const mcp__conn_t *conn) {
  return too_many_wait(conn) || mcp__stream_backlog(&conn->stream) > MCP__BACKLOG_PAUSE || too_hasty(conn) ||
         holds_too_much(conn);
}

static void run(mcp__conn_t *conn, mcp_call_t *call, const mcp__outcome_t *outcome) {
  call->conn = conn;
  call->to.direct = outcome->direct;
  call->to.shaped = outcome->tool->output != NULL;
  call->tool = mcp__tool_hold(outcome->tool);
  call->args = outcome->args;
  call->progress_token = call->silent ? NULL : outcome->progress_token;
  call->progress_last = -INFINITY;
  call->parent.trace.span = mcp__span_new();
  call->parent.trace.parent_span_id = outcome->parent_span_id;
  mcp__call_run(call); /* may have ended it */
}

static void refuse_twice(mcp__outcome_t *outcome) {
  outcome->action = MCP__DO_REFUSE;
  outcome->code = MCP_INVALID_REQUEST;
  outcome->problem = "a call with this id is still in flight";
}

static void act(mcp__conn_t *conn, mcp_call_t *call, const mcp__message_t *message, mcp__outcome_t *outcome) {
  bool request = message->kind != MCP__NOTIFICATION && message->kind != MCP__RESPONSE;
  call->id_hash = mcp__id_hash(message->id, message->id_len);
  if (message->kind == MCP__REQUEST &&
      find_in_flight(conn, call->id_hash, message->id, message->id_len) != NULL)
    refuse_twice(outcome);
  call->to = (mcp__addressee_t){message->id, message->id_len, outcome->revision, outcome->direct, false};
  call->silent = !request;
  call->parent.trace.id = outcome->trace_id != NULL ? outcome->trace_id : copy_trace_id(conn, &call->arena);
  if (request)
    mcp__event_request(conn, call, message, outcome->tool);
  switch (outcome->action) {
  case MCP__DO_CALL:
    run(conn, call, outcome);
    return;
  case MCP__DO_CANCEL:
    cancel(conn, outcome->cancel_id, outcome->cancel_id_len);
    break;
  case MCP__DO_NOTHING:
    break;
  default:
    if (outcome->action == MCP__DO_REFUSE_CALL)
      outcome->tool->counts.endings[MCP__ENDED_INVALID]++;
    else if (outcome->action == MCP__DO_REFUSE && !conn->examined)
      mcp__count_refusal(&conn->server->counts, outcome->code);
    if (outcome->tool != NULL)
      mcp__event_refused(conn, call, outcome);
    if (request)
      mcp__conn_answer(conn, &call->to, render_outcome, outcome);
    conn->examined = conn->examined || outcome->examined;
    if (outcome->hello != NULL)
      keep_hello(conn, outcome->hello);
    break;
  }
  mcp__call_give_back(call);
}

static size_t max_values(const mcp_server_t *server) { /* a million for each 16 MiB */
  size_t scaled = server->max_message / (16 << 20) * 1000000;
  return scaled < 1000000 ? 1000000 : scaled;
}

/* What one message may need while it is parsed. */
static size_t parse_memory(const mcp_server_t *server) {
  size_t most = MCP__PARSE_MEMORY * server->max_message;
  return most < MCP__PARSE_MEMORY_MIN ? MCP__PARSE_MEMORY_MIN : most;
}

/* Small messages are not refused for the sake of others. */
static bool may_parse(mcp__conn_t *conn, mcp_call_t *call) {
  if (call->text.len <= MCP__GATE_FROM_BYTES)
    return true;
  mcp__call_charge(call);
  bool fine = mcp__budget_has(&conn->server->memory, parse_memory(conn->server)) ||
              make_room(conn, mcp__jsonrpc_memory(call->text.data, call->text.len));
  note_room(conn, fine);
  return fine;
}

static void serve(mcp__conn_t *conn, mcp_call_t *call) {
  mcp_server_t *server = conn->server;
  mcp__message_t message;
  mcp__outcome_t outcome;
  call->arena.max = parse_memory(server);
  memset(call->text.data + call->text.len, 0, MCP__JSON_PADDING);
  mcp__jsonrpc_parse(call->text.data, call->text.len, max_values(server), &call->arena, &message);
  if (message.kind == MCP__INVALID &&
      call->arena.starved) { /* its sender would wait for an answer with its id */
    mcp__call_give_back(call);
    close_with(conn, MCP__CLOSE_INTERNAL, "out of memory for a message");
    return;
  }
  mcp__dispatch(&server->identity, conn->revision, &message, &call->arena, &outcome);
  if (message.kind == MCP__REQUEST)
    conn->revision = outcome.revision;
  conn->initialized |= outcome.initialized;
  act(conn, call, &message, &outcome);
}

/* Without memory to parse a message it is kept as it is, and nothing else is read, until there is some. */
static void serve_or_keep(mcp__conn_t *conn, mcp_call_t *call) {
  bool fine = may_parse(conn, call);
  if (conn->state != MCP__CONN_OPEN) /* what had to give way has ended it */
    mcp__call_give_back(call);
  else if (fine)
    serve(conn, call);
  else
    conn->kept = call;
  if (conn->kept != NULL || should_pause(conn))
    mcp__ws_pause(&conn->ws, true);
}

static void on_message(mcp__buf_t *text, bool binary, void *arg) {
  mcp__conn_t *conn = arg;
  (void)binary;
  if (conn->state != MCP__CONN_OPEN)
    return; /* closed while this piece of input was taken apart */
  count_message(conn);
  conn->message_ms = 0; /* whatever comes now is another */
  mcp_call_t *call = mcp__call_take(conn);
  if (call == NULL) {
    close_with(conn, MCP__CLOSE_INTERNAL, "out of memory for a call");
    return;
  }
  mcp__buf_swap(&call->text, text);
  serve_or_keep(conn, call);
}

static void on_ws_end(int code, const char *reason, bool clean, void *arg) {
  mcp__conn_t *conn = arg;
  if (conn->state != MCP__CONN_OPEN)
    return; /* the peer answers our close */
  mcp__event_disconnected(conn, clean ? MCP_LOG_DEBUG : MCP_LOG_WARN, code, reason);
  if (!clean)
    mcp__count_refusal(&conn->server->counts, code);
  start_closing(conn);
}

/* ---- handshake ------------------------------------------------------------------------------------- */

/* HEAD gets what GET would, without the body (RFC 9110 section 9.3.2). */
static void answer_page(mcp__conn_t *conn, int status, const char *type, const char *body, size_t len) {
  mcp__buf_t *out = &conn->stream.out;
  int written = mcp__write_body(out, status, type, body, len); /* without memory there is only the end */
  if (written == 0 && conn->head != NULL && mcp__head_is_bodiless(conn->head))
    out->len -= len;
  start_closing(conn);
}

static void answer_plain(mcp__conn_t *conn, int status, const char *text) {
  answer_page(conn, status, MCP__PLAIN, text, strlen(text));
}

static void refuse(mcp__conn_t *conn, int status, const char *text) {
  char how[32];
  snprintf(how, sizeof how, " with %d", status);
  mcp__event_summed(conn, text, "refused", how, text);
  mcp__count_refusal(&conn->server->counts, status);
  answer_plain(conn, status, text);
}

/* Health checks need no token; what is missing, though, is for those who have it. */
static void answer_ready(mcp__conn_t *conn, bool trusted) {
  mcp__buf_t text;
  mcp__buf_init(&text, 64 * 1024, NULL);
  mcp__buf_puts(&text, conn->server->stopping ? "the server is stopping\n" : "");
  bool ready = mcp__server_write_needs(conn->server, &text) && !conn->server->stopping;
  if (ready)
    mcp__buf_puts(&text, "ready\n");
  int status = mcp__buf_append(&text, "", 1);
  answer_plain(conn, ready ? 200 : 503,
               status != 0        ? "out of memory\n"
               : ready || trusted ? text.data
                                  : "not ready; who sends the token is told why\n");
  mcp__buf_deinit(&text);
}

static void answer_metrics(mcp__conn_t *conn) {
  mcp__buf_t text;
  mcp__buf_init(&text, MCP__MAX_METRICS, NULL);
  int status = mcp__counts_write(conn->server, &text);
  if (status == 0) {
    answer_page(conn, 200, "text/plain; version=0.0.4; charset=utf-8", text.data, text.len);
  } else {
    mcp_log(MCP_LOG_ERROR, conn->server->name, "/metrics: %s", mcp_strerror(status));
    answer_plain(conn, 500, "the metrics are larger than 16 MiB, or there is no memory for them\n");
  }
  mcp__buf_deinit(&text);
}

static void answer_what_this_is(mcp__conn_t *conn, int status) {
  char text[512];
  snprintf(text, sizeof text,
           "%.100s %.100s: an MCP server, JSON-RPC 2.0 over WebSocket.\n"
           "Connect to this address with ws%s:// instead of http%s://. GET /healthz, /readyz and /metrics "
           "tell more.\n",
           conn->server->name, conn->server->version, conn->stream.tls != NULL ? "s" : "",
           conn->stream.tls != NULL ? "s" : "");
  answer_plain(conn, status, text);
}

/* denied: why the request is not one with the token; NULL: it is, or none is asked for. */
static void answer_get(mcp__conn_t *conn, const char *denied) {
  const mcp__head_t *head = conn->head;
  if (mcp__head_path_is(head, "/healthz"))
    answer_plain(conn, 200, "alive\n");
  else if (mcp__head_path_is(head, "/readyz"))
    answer_ready(conn, denied == NULL);
  else if (denied != NULL)
    refuse(conn, 401, denied);
  else if (mcp__head_path_is(head, "/metrics"))
    answer_metrics(conn);
  else
    answer_what_this_is(conn, mcp__head_path_is(head, "/") ? 200 : 404);
}

/* The same for each path, and to everybody: monitors ask so. */
static void answer_options(mcp__conn_t *conn) {
  mcp__write_options(&conn->stream.out);
  start_closing(conn);
}

static void open_websocket(mcp__conn_t *conn) {
  const char *trace_id = mcp__head_value(conn->head, MCP__H_TRACE_ID);
  if (trace_id != NULL && *trace_id != '\0' && strlen(trace_id) < MCP__TRACE_MAX &&
      mcp__utf8_valid(trace_id, strlen(trace_id)))
    conn->trace_id = mcp__strdup(trace_id);
  if (mcp__write_switching(&conn->stream.out, conn->head) != 0) {
    close_now(conn);
    return;
  }
  mcp__stream_dirty(&conn->stream);
  drop_handshake(conn);
  conn->state = MCP__CONN_OPEN;
  conn->since_ms = now(conn);
  conn->server->counts.connections++;
  mcp__event_connected(conn);
}

static void on_head(mcp__conn_t *conn) {
  const mcp_server_t *server = conn->server;
  mcp__wish_t wish = mcp__head_wish(conn->head);
  const char *denied = mcp__auth_problem(&server->auth, conn->head), *strange = NULL;
  if (!server->auth.wanted || denied != NULL) /* a page has the token only from somebody who may come in */
    strange = mcp__origins_problem(&server->origins, conn->head, wish, conn->stream.tls != NULL);
  if (wish == MCP__WISH_WRONG)
    refuse(conn, conn->head->status, conn->head->problem);
  else if (strange != NULL)
    refuse(conn, 403, strange);
  else if (wish == MCP__WISH_OPTIONS)
    answer_options(conn);
  else if (wish == MCP__WISH_GET)
    answer_get(conn, denied);
  else if (denied != NULL)
    refuse(conn, 401, denied);
  else
    open_websocket(conn);
}

/* ---- input ----------------------------------------------------------------------------------------- */

static size_t take_head(mcp__conn_t *conn, const char *data, size_t len) {
  size_t used;
  switch (mcp__head_feed(conn->head, data, len, &used)) {
  case MCP__HEAD_DONE:
    on_head(conn);
    break;
  case MCP__HEAD_BAD:
    refuse(conn, conn->head->status, conn->head->problem);
    break;
  case MCP__HEAD_MORE:
    break;
  }
  return used;
}

static size_t take(mcp__conn_t *conn, const char *data, size_t len) {
  size_t used = 0;
  conn->server->counts.now_ns = uv_hrtime();
  if (conn->state == MCP__CONN_HANDSHAKE)
    used = take_head(conn, data, len);
  if (conn->state == MCP__CONN_OPEN && used < len) /* data is NULL where nothing was held back */
    used += mcp__ws_feed(&conn->ws, (const uint8_t *)data + used, len - used);
  if (conn->ws.pong_due)
    mcp__stream_dirty(&conn->stream);
  return conn->state >= MCP__CONN_CLOSING ? len : used;
}

static void on_data(mcp__stream_t *stream, const char *data, size_t len) {
  mcp__conn_t *conn = conn_of(stream);
  conn->read_ms = now(conn);
  conn->pinged_ms = 0;
  size_t used = take(conn, data, len);
  charge(conn);
  if (used == len)
    return;
  if (mcp__buf_append(&conn->input, data + used, len - used) != 0)
    close_with(conn, MCP__CLOSE_INTERNAL, "out of memory for input");
  mcp__stream_read(&conn->stream, false); /* until try_resume() */
}

static void begin_next(mcp__conn_t *conn) {
  mcp_call_t *call = conn->waiting;
  if (call->silent || find_in_flight(conn, call->id_hash, call->to.id, call->to.id_len) == NULL) {
    mcp__call_begin(call); /* may have ended it, and others */
    return;
  }
  mcp__outcome_t outcome = {0};
  refuse_twice(&outcome);
  mcp__count_refusal(&conn->server->counts, outcome.code);
  mcp__conn_answer(conn, &call->to, render_outcome, &outcome);
  mcp__call_abandon(call);
}

static void begin_waiting(mcp__conn_t *conn) {
  while (conn->state == MCP__CONN_OPEN && conn->waiting != NULL && mcp__call_may_begin(conn) &&
         mcp__stream_backlog(&conn->stream) <= MCP__BACKLOG_PAUSE)
    begin_next(conn);
}

/* Goes on with what was read before the pause, once there is room for more calls and output. */
static void try_resume(mcp__conn_t *conn) {
  begin_waiting(conn);
  if (conn->state != MCP__CONN_OPEN || !conn->ws.paused || should_pause(conn))
    return;
  mcp__ws_pause(&conn->ws, false);
  mcp_call_t *kept = conn->kept;
  conn->kept = NULL;
  if (kept != NULL)
    serve_or_keep(conn, kept);
  if (conn->state != MCP__CONN_OPEN || conn->ws.paused)
    return;
  mcp__buf_t input = conn->input;
  mcp__buf_init(&conn->input, input.max, NULL);
  size_t used = take(conn, input.data, input.len);
  if (conn->state == MCP__CONN_OPEN && used < input.len &&
      mcp__buf_append(&conn->input, input.data + used, input.len - used) != 0)
    close_with(conn, MCP__CLOSE_INTERNAL, "out of memory for input");
  mcp__buf_deinit(&input);
  charge(conn);
  if (conn->state == MCP__CONN_OPEN && !conn->ws.paused)
    mcp__stream_read(&conn->stream, true);
}

/* Not from here: a handler that answers at once would be inside mcp__ws_feed(). The write that follows every
 * answer resumes; a call that goes without one (cancelled, silent) makes the stream dirty for that. */
void mcp__conn_call_left(mcp__conn_t *conn) {
  if (conn->ws.paused || conn->waiting != NULL)
    mcp__stream_dirty(&conn->stream);
}

static void before_write(mcp__stream_t *stream) {
  mcp__conn_t *conn = conn_of(stream);
  if (conn->state != MCP__CONN_OPEN)
    return;
  tell_tools_changed(conn);
  tell_notice(conn);
  mcp__ws_flush_pong(&conn->ws);
}

static void on_written(mcp__stream_t *stream) {
  mcp__conn_t *conn = conn_of(stream);
  conn->stalled_ms = 0;
  if (conn->state == MCP__CONN_CLOSING && !conn->server->stopping)
    conn->since_ms = now(conn); /* the last words are out only now */
  try_resume(conn);
}

static const mcp__stream_events_t events = {on_data, on_end, before_write, on_written, on_closed};

/* ---- accepting and time ---------------------------------------------------------------------------- */

static bool connects_too_often(mcp_server_t *server, const struct sockaddr *address) {
  uint64_t secret = 0;
  if (server->rates == NULL)
    return false;
  uv_random(NULL, NULL, &secret, sizeof secret, 0, NULL);
  uint32_t count = mcp__rates_count(server->rates, address, uv_now(server->loop), secret);
  return count > (uint32_t)server->max_connects;
}

/* Whether there is one for a handshake. Peers that say nothing keep nobody out: the oldest makes room. */
static bool has_place(mcp_server_t *server) {
  mcp__conn_t *oldest = NULL;
  if (server->handshakes < MCP__MAX_HANDSHAKES && server->connections < server->max_connections)
    return true;
  int left = server->handshakes;
  for (mcp__conn_t *conn = server->conns; conn != NULL && left > 0;
       conn = conn->next) { /* the newest first */
    if (conn->head == NULL)
      continue;
    oldest = conn;
    left--;
  }
  if (oldest == NULL || now(oldest) - oldest->since_ms < MCP__HANDSHAKE_SURE_MS)
    return false;
  refuse(oldest, 408, "no complete request while others waited for this one's place\n");
  return true;
}

static void refuse_or_begin(mcp__conn_t *conn, const struct sockaddr *address) {
  mcp_server_t *server = conn->server;
  if (!server->allow_public && !server->auth.wanted && !mcp__peer_is_private(address)) {
    refuse(conn, 403,
           "only private addresses may connect; ICCM_AUTH_TOKEN or ICCM_ALLOW_PUBLIC=1 on the server admits "
           "others\n");
    return;
  }
  if (connects_too_often(server, address)) {
    refuse(conn, 503, "too many connections from this address in a second, retry later\n");
    return;
  }
  if (!has_place(server)) { /* asked last: it may cost another its own */
    refuse(conn, 503, "too many connections, retry later\n");
    return;
  }
  conn->counted = true;
  server->connections++;
  conn->head = mcp__malloc(sizeof *conn->head);
  if (conn->head == NULL || mcp__head_init(conn->head, true) != 0) {
    mcp__free(conn->head);
    conn->head = NULL;
    close_now(conn);
    return;
  }
  server->handshakes++;
  mcp__stream_set_secret(&conn->stream, true);
  mcp__stream_read(&conn->stream, true);
}

static void begin(mcp__conn_t *conn) {
  struct sockaddr_storage address = {0};
  int len = sizeof address;
  if (uv_tcp_getpeername(&conn->stream.tcp, (struct sockaddr *)&address, &len) != 0) {
    close_now(conn);
    return;
  }
  uv_tcp_nodelay(&conn->stream.tcp, 1);
  mcp__peer_name((struct sockaddr *)&address, conn->peer);
  conn->address = mcp__budget_join(&conn->server->memory, mcp__peer_network((struct sockaddr *)&address));
  if (conn->address == NULL) {
    close_now(conn);
    return;
  }
  conn->account.parent = &conn->address->account;
  mcp__tls_context_t *context = conn->server->certificate.context;
  if (context != NULL && mcp__stream_start_tls(&conn->stream, context, NULL, false) != 0) {
    close_now(conn);
    return;
  }
  refuse_or_begin(conn, (struct sockaddr *)&address);
}

int mcp__conn_accept(mcp_server_t *server, uv_stream_t *listener) {
  mcp__conn_t *conn = mcp__calloc(sizeof *conn);
  int status =
      conn != NULL ? mcp__stream_init(&conn->stream, &server->io, MCP__MAX_OUT, &events, conn) : UV_ENOMEM;
  if (status != 0) {
    mcp__free(conn);
    return status;
  }
  conn->server = server;
  conn->since_ms = conn->read_ms = uv_now(server->loop);
  conn->gate = (mcp__gate_t){has_room, conn};
  conn->ws_config = (mcp__ws_config_t){.max_message = server->max_message,
                                       .gate = &conn->gate,
                                       .out = &conn->stream.out,
                                       .on_message = on_message,
                                       .on_end = on_ws_end,
                                       .arg = conn};
  mcp__ws_init(&conn->ws, &conn->ws_config);
  /* A record may have come in part before what is read at once. */
  mcp__buf_init(&conn->input, MCP__INPUT_BYTES + MCP__TLS_RECORD, NULL);
  conn->next = server->conns;
  if (server->conns != NULL)
    server->conns->prev = conn;
  server->conns = conn;
  if (uv_accept(listener, (uv_stream_t *)&conn->stream.tcp) != 0)
    close_now(conn);
  else
    begin(conn);
  return 0;
}

static bool stalled(mcp__conn_t *conn, uint64_t now_ms) {
  size_t bytes = mcp__stream_backlog(&conn->stream) - conn->stream.out.len;
  if (bytes == 0 || bytes != conn->stalled_bytes || conn->stalled_ms == 0) {
    conn->stalled_bytes = bytes;
    conn->stalled_ms = bytes > 0 ? now_ms : 0;
    return false;
  }
  return now_ms - conn->stalled_ms > MCP__WRITE_STALL_MS;
}

/* A message that comes, but so slowly that it would hold its memory for ever. What stands between its
 * fragments is no part of it. */
static bool drips(mcp__conn_t *conn, uint64_t now_ms) {
  size_t len = conn->ws.message.len;
  if (!mcp__ws_in_message(&conn->ws)) {
    conn->message_ms = 0;
  } else if (conn->message_ms == 0 || (len - conn->message_len >= MCP__MESSAGE_LEAST &&
                                       len - conn->message_len >= conn->message_len / MCP__MESSAGE_PART)) {
    conn->message_ms = now_ms;
    conn->message_len = len;
  }
  return conn->message_ms != 0 && now_ms - conn->message_ms > MCP__MESSAGE_STALL_MS;
}

static bool backlog_too_large(const mcp__conn_t *conn) {
  size_t most = conn->largest_answer > MCP__BACKLOG_CLOSE / 2 ? conn->largest_answer * 2 : MCP__BACKLOG_CLOSE;
  return mcp__stream_backlog(&conn->stream) > most;
}

/* Memory is used up, and this one holds more than its share in answers that it does not take. */
static bool hoards(const mcp__conn_t *conn) {
  return !mcp__budget_has(&conn->server->memory, 0) &&
         mcp__stream_backlog(&conn->stream) > MCP__BACKLOG_PAUSE &&
         mcp__budget_is_over(&conn->server->memory, conn->address, &conn->account);
}

/* Where there is room by now for as much again its turn has come. */
static bool is_starved(const mcp__conn_t *conn, uint64_t now_ms) {
  return conn->starved_ms != 0 && now_ms - conn->starved_ms > MCP__MEMORY_STALL_MS &&
         (conn->kept != NULL || !mcp__budget_has(&conn->server->memory, conn->account.used));
}

static void tick_open(mcp__conn_t *conn, uint64_t now_ms) {
  static const char silent[] = " for its silence";
  uint64_t quiet = now_ms - conn->read_ms;
  if ((conn->ws.paused && !should_pause(conn)) || (conn->waiting != NULL && mcp__call_may_begin(conn)))
    mcp__stream_dirty(&conn->stream); /* its second is over: what is written next resumes, be it nothing */
  if (stalled(conn, now_ms) || backlog_too_large(conn)) {
    close_with(conn, MCP__CLOSE_POLICY, "answers are not being read");
  } else if (hoards(conn) || is_starved(conn, now_ms)) {
    give_way(conn);
  } else if (!conn->stream.reading) {
    conn->read_ms = now_ms; /* paused from here: that nothing comes says nothing */
    conn->message_ms = 0;
  } else if (drips(conn, now_ms)) {
    close_with(conn, MCP__CLOSE_PROTOCOL,
               "a message came too slowly: in 30 s neither its end nor 32 KiB and a sixteenth of it");
  } else if (conn->pinged_ms != 0 && now_ms - conn->pinged_ms > MCP__PONG_MS) {
    mcp__event_summed(conn, silent, "closed", silent, "it does not answer pings");
    close_now(conn);
  } else if (conn->pinged_ms == 0 && quiet > MCP__PING_MS && mcp__ws_ping(&conn->ws) == 0) {
    conn->pinged_ms = now_ms;
    mcp__stream_dirty(&conn->stream);
  }
  if (conn->state == MCP__CONN_OPEN && quiet > MCP__TICK_MS) { /* an idle connection keeps little memory */
    if (!mcp__ws_in_message(&conn->ws))
      mcp__buf_clear(&conn->ws.message, MCP__KEEP_BYTES);
    mcp__stream_trim(&conn->stream);
    charge(conn);
  }
}

/* Last words may be long, as /metrics is: a peer that goes on taking them gets them all. */
static bool is_taking(mcp__conn_t *conn, uint64_t age_ms) {
  size_t before = conn->stalled_bytes, bytes = mcp__stream_untaken(&conn->stream);
  conn->stalled_bytes = bytes;
  return bytes > 0 && (before == 0 || bytes < before) && age_ms <= MCP__WRITE_STALL_MS &&
         !conn->server->stopping;
}

void mcp__conn_tick(mcp__conn_t *conn, uint64_t now_ms) {
  uint64_t age = now_ms - conn->since_ms;
  if (conn->state == MCP__CONN_OPEN)
    tick_open(conn, now_ms);
  else if (conn->state == MCP__CONN_HANDSHAKE && age > MCP__HANDSHAKE_MS)
    refuse(conn, 408, "no complete request within 5 s\n");
  else if (conn->state == MCP__CONN_CLOSING && !is_taking(conn, age) && age > MCP__DRAIN_MS)
    close_now(conn);
}

void mcp__conn_stop(mcp__conn_t *conn, bool at_once) {
  if (conn->state == MCP__CONN_HANDSHAKE)
    close_now(conn);
  else if (conn->state == MCP__CONN_OPEN && (at_once || (conn->in_flight == 0 && conn->waiting == NULL)))
    close_with(conn, MCP__CLOSE_RESTART, "the server is stopping");
}
