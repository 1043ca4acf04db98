/* conn.c: one connection of a server.
 *
 * Happy path: the upgrade request is received, checked and answered with 101. From then on each message is
 * passed to the session. Reading pauses while too many calls wait, too much output is pending, or memory is
 * scarce, so that a fast peer delays only itself. Failure: an HTTP response before the upgrade, a close frame
 * after it. Both are written, input is discarded for up to a second, and the connection is closed. Calls in
 * flight lose their session and run to their end. */
#include "server/conn_parts.h"

#include "transport/http_request.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const char busy[] = "busy: the memory for messages is used up, retry later";

/* States only advance: HANDSHAKE, HTTP, OPEN, CLOSING, CLOSED. */
void mcp__conn_enter(mcp__conn_t *conn, mcp__conn_state_t state) {
  assert(state > conn->state);
  conn->state = state;
  conn->all->handshakes -= conn->in_handshake;
  conn->in_handshake = false;
  if (state != MCP__CONN_CLOSED)
    conn->since_ms = uv_now(conn->all->loop);
}

static mcp__conn_t *conn_of(mcp__stream_t *stream) {
  return stream->arg;
}

static uint64_t now(const mcp__conn_t *conn) {
  return uv_now(conn->all->loop);
}

static const mcp__budget_account_t *account_of(const mcp__conn_t *conn) {
  return &conn->session.caller.account;
}

/* Updates the account after buffers may have changed. */
void mcp__conn_charge(mcp__conn_t *conn) {
  size_t now = mcp__stream_memory(&conn->stream) + conn->ws.message.cap + conn->input.cap +
               (conn->http != NULL ? conn->http->body.cap : 0);
  if (conn->session.caller.address != NULL)
    mcp__budget_charge(&conn->session.caller.account, &conn->charged_bytes,
                       conn->state == MCP__CONN_CLOSED ? 0 : now);
}

/* ---- closing --------------------------------------------------------------------------------------- */

static void free_head(mcp__conn_t *conn) {
  if (conn->head == NULL)
    return;
  mcp__head_deinit(conn->head);
  mcp__free(conn->head);
  conn->head = NULL;
  mcp__stream_set_secret(&conn->stream, false);
}

static void close_session(mcp__conn_t *conn) {
  if (conn->deferred != NULL)
    mcp__call_release(conn->deferred);
  conn->deferred = NULL;
  mcp__conn_http_end(conn);
  mcp__session_close(&conn->session);
}

/* A connection gives up its slot while its last HTTP response is written. If there are too many, the oldest
 * is closed. */
static void move_to_rejected(mcp__conn_t *conn) {
  mcp__conns_t *all = conn->all;
  mcp__conn_t **entry = all->rejected;
  all->slots_used -= conn->has_slot;
  conn->has_slot = false;
  for (size_t i = 0; i < MCP__CONN_MAX_REJECTED && *entry != NULL; i++)
    if (all->rejected[i] == NULL || all->rejected[i]->since_ms < (*entry)->since_ms)
      entry = &all->rejected[i];
  mcp__conn_t *oldest = *entry;
  if (oldest != NULL) {
    mcp__stream_flush(&oldest->stream);
    mcp__conn_close_now(oldest);
  }
  *entry = conn;
  conn->rejected = entry;
}

/* The final output is in out: writes it and FIN, and waits for the peer to close. */
void mcp__conn_start_closing(mcp__conn_t *conn) {
  if (conn->state >= MCP__CONN_CLOSING)
    return;
  if (conn->state <= MCP__CONN_HTTP)
    move_to_rejected(conn);
  mcp__conn_enter(conn, MCP__CONN_CLOSING);
  conn->stalled_bytes = 0;
  mcp__buf_deinit(&conn->input);
  mcp__buf_deinit(&conn->ws.message);
  close_session(conn);
  free_head(conn);
  mcp__conn_charge(conn);
  mcp__stream_finish(&conn->stream);
  mcp__stream_read(&conn->stream, true);
}

void mcp__conn_close_now(mcp__conn_t *conn) {
  if (conn->state == MCP__CONN_CLOSED)
    return;
  if (conn->state == MCP__CONN_OPEN || (conn->state == MCP__CONN_HTTP && conn->http->is_admitted))
    mcp__server_log_disconnected(&conn->peer, MCP_LOG_DEBUG, 0, "");
  if (conn->rejected != NULL)
    *conn->rejected = NULL;
  mcp__conn_enter(conn, MCP__CONN_CLOSED);
  mcp__conn_charge(conn); /* libuv frees the rest in this loop iteration */
  close_session(conn);
  free_head(conn);
  mcp__stream_close(&conn->stream);
}

static void close_with(mcp__conn_t *conn, int code, const char *reason) {
  if (conn->state != MCP__CONN_OPEN)
    return;
  mcp__server_log_disconnected(&conn->peer, code == MCP__CLOSE_RESTART ? MCP_LOG_DEBUG : MCP_LOG_WARN, code,
                               reason);
  if (code != MCP__CLOSE_RESTART)
    mcp__count_refusal(&conn->all->service->counters, code);
  mcp__ws_close(&conn->ws, code, reason);
  mcp__conn_start_closing(conn);
}

static void unlink_conn(mcp__conn_t *conn) {
  mcp__conns_t *all = conn->all;
  assert(conn->prev != NULL ? conn->prev->next == conn : all->first == conn);
  assert(conn->next == NULL || conn->next->prev == conn);
  *(conn->prev != NULL ? &conn->prev->next : &all->first) = conn->next;
  if (conn->next != NULL)
    conn->next->prev = conn->prev;
  all->slots_used -= conn->has_slot;
}

static void on_closed(mcp__stream_t *stream) {
  mcp__conn_t *conn = conn_of(stream);
  mcp__conns_t *all = conn->all;
  mcp__ws_deinit(&conn->ws);
  mcp__conn_http_free(conn);
  mcp__buf_deinit(&conn->input);
  mcp__session_deinit(&conn->session);
  if (conn->session.caller.address != NULL)
    mcp__budget_leave(&all->memory, conn->session.caller.address);
  unlink_conn(conn);
  mcp__free(conn);
  all->on_conn_closed(all->arg);
}

/* ---- memory ---------------------------------------------------------------------------------------- */

/* Closes a connection to free its memory. If the peer does not read, the close frame is dropped together with
 * the backlog. */
static void evict(mcp__conn_t *conn) {
  bool unread = mcp__stream_backlog(&conn->stream) > MCP__CONN_BACKLOG_PAUSE;
  if (conn->state == MCP__CONN_HTTP && conn->http->exchange.state != MCP__EXCHANGE_STREAMING)
    mcp__conn_refuse(conn, 503, busy);
  else if (conn->state == MCP__CONN_HTTP)
    mcp__conn_close_now(conn);
  close_with(conn, MCP__CLOSE_BUSY, busy);
  if (unread)
    mcp__conn_close_now(conn);
}

/* Whether closing it frees memory: calls in flight keep theirs until they end. */
static bool can_evict(const mcp__conn_t *conn) {
  size_t incoming = conn->state == MCP__CONN_HTTP ? conn->http->body.cap : conn->ws.message.cap;
  return (conn->state == MCP__CONN_OPEN || conn->state == MCP__CONN_HTTP) &&
         (incoming > MCP__BUF_QUOTA_FROM_BYTES ||
          mcp__stream_backlog(&conn->stream) > MCP__CONN_BACKLOG_PAUSE);
}

static mcp__conn_t *heaviest_other(mcp__conn_t *conn, size_t more) {
  mcp__conn_t *heaviest = NULL;
  for (mcp__conn_t *other = conn->all->first; other != NULL; other = other->next)
    if (other != conn && can_evict(other) &&
        mcp__budget_outweighs(account_of(other), account_of(conn), more) &&
        (heaviest == NULL || account_of(other)->used > account_of(heaviest)->used))
      heaviest = other;
  return heaviest;
}

/* Evicts connections that hold more memory than this one would. */
static bool make_room(mcp__conn_t *conn, size_t more) {
  while (!mcp__budget_has(&conn->all->memory, more)) {
    mcp__conn_t *heaviest = heaviest_other(conn, more);
    if (heaviest == NULL)
      return false;
    evict(heaviest);
  }
  return true;
}

static void note_memory(mcp__conn_t *conn, bool available) {
  if (available)
    conn->starved_ms = 0;
  else if (conn->starved_ms == 0)
    conn->starved_ms = now(conn);
}

/* Gate of the buffer into which a message is received. */
static bool has_room(size_t more, void *arg) {
  mcp__conn_t *conn = arg;
  mcp__conn_charge(conn);
  bool available = make_room(conn, more);
  note_memory(conn, available);
  return available;
}

/* A peer that speaks HTTP to a TLS port gets a readable response; others get OpenSSL's alert. */
static void reject_tls_handshake(mcp__conn_t *conn) {
  static const char in_handshake[] = " in the TLS handshake";
  const mcp__tls_t *tls = conn->stream.tls;
  mcp__buf_t message;
  mcp__server_log_throttled(&conn->peer, now(conn), in_handshake, "refused", in_handshake, tls->problem);
  mcp__count_refusal(&conn->all->service->counters, MCP_ETLS);
  if (tls->fault != MCP__TLS_OTHER_PROTOCOL)
    return;
  mcp__buf_init(&message, 1024, NULL);
  mcp__write_plain(&message, 400,
                   "this port speaks TLS: use wss:// instead of ws://, https:// instead of http://\n");
  mcp__stream_write_plain_now(&conn->stream, &message);
  mcp__buf_deinit(&message);
}

/* End of file or an error: without a close frame no answer is due. */
static void on_end(mcp__stream_t *stream, int status) {
  static const char broken[] = " for a TLS error";
  mcp__conn_t *conn = conn_of(stream);
  if (status == MCP_ETLS && !stream->tls->open)
    reject_tls_handshake(conn);
  else if (status == MCP_ETLS)
    mcp__server_log_throttled(&conn->peer, now(conn), broken, "closed", broken, stream->tls->problem);
  mcp__conn_close_now(conn);
}

/* ---- transport of the session -----------------------------------------------------------------------
 * All messages of the session arrive on this connection: origins are ignored. */

static mcp__conn_t *conn_of_session(const mcp__session_t *session) {
  return session->arg;
}

static bool is_open(const mcp__session_t *session, const void *origin) {
  (void)origin;
  return conn_of_session(session)->state == MCP__CONN_OPEN;
}

static mcp__buf_t *begin_message(mcp__session_t *session, void *origin, int kind, size_t *at) {
  mcp__conn_t *conn = conn_of_session(session);
  (void)origin;
  (void)kind;
  *at = mcp__ws_begin(&conn->ws);
  return *at != SIZE_MAX ? &conn->stream.out : NULL;
}

static int end_message(mcp__session_t *session, void *origin, size_t at, int status) {
  mcp__conn_t *conn = conn_of_session(session);
  mcp__buf_t *out = &conn->stream.out;
  size_t len = out->len - at;
  (void)origin;
  if (status == 0)
    status = mcp__ws_end(&conn->ws, at);
  if (status != 0)
    out->len = at;
  else if (len > conn->largest_response)
    conn->largest_response = len;
  return status;
}

/* The backlog is checked at the end of the loop iteration, because the kernel may accept a burst of responses
 * at once. */
static void wake(mcp__session_t *session, void *origin) {
  mcp__conn_t *conn = conn_of_session(session);
  (void)origin;
  mcp__stream_dirty(&conn->stream);
  mcp__conn_charge(conn);
  if (!mcp__budget_has(&conn->all->memory, 0))
    conn->all->request_tick(conn->all->arg); /* after the kernel has accepted what it can */
}

static bool has_output_room(const mcp__session_t *session, const void *origin) {
  (void)origin;
  return mcp__stream_backlog(&conn_of_session(session)->stream) <= MCP__CONN_BACKLOG_PAUSE;
}

static void fail(mcp__session_t *session, void *origin, const char *reason) {
  (void)origin;
  close_with(conn_of_session(session), MCP__CLOSE_INTERNAL, reason);
}

/* Must not resume here: a handler that responds at once runs inside mcp__ws_feed(). The write after each
 * response resumes. A call without a response marks the stream dirty for that. */
static void call_removed(mcp__session_t *session) {
  mcp__conn_t *conn = conn_of_session(session);
  if (conn->ws.paused || session->caller.waiting != NULL)
    mcp__stream_dirty(&conn->stream);
}

static const mcp__transport_t ws_transport = {.is_open = is_open,
                                              .begin = begin_message,
                                              .end = end_message,
                                              .wake = wake,
                                              .has_room = has_output_room,
                                              .fail = fail,
                                              .call_removed = call_removed};

/* ---- messages -------------------------------------------------------------------------------------- */

void mcp__conn_count_message(mcp__conn_t *conn) {
  if (conn->window != conn->all->window)
    conn->window_messages = 0;
  conn->window = conn->all->window;
  conn->window_messages += conn->all->max_messages > 0;
}

bool mcp__conn_is_over_message_rate(const mcp__conn_t *conn) {
  const mcp__conns_t *all = conn->all;
  return all->max_messages > 0 && conn->window == all->window && conn->window_messages >= all->max_messages;
}

/* Only while it has calls: their end frees memory and resumes. */
static bool over_memory_share(const mcp__conn_t *conn) {
  const mcp__caller_t *caller = &conn->session.caller;
  return (caller->in_flight != NULL || caller->waiting != NULL) &&
         mcp__budget_exceeds_share(&conn->all->memory, caller->address, &caller->account);
}

static bool should_pause(const mcp__conn_t *conn) {
  return mcp__session_is_full(&conn->session) ||
         mcp__stream_backlog(&conn->stream) > MCP__CONN_BACKLOG_PAUSE ||
         mcp__conn_is_over_message_rate(conn) || over_memory_share(conn);
}

/* Small messages are never refused to save memory for others. */
bool mcp__conn_may_parse(mcp__conn_t *conn, mcp_call_t *call) {
  if (call->text.len <= MCP__BUF_QUOTA_FROM_BYTES)
    return true;
  mcp__call_charge(call);
  size_t most = mcp__session_parse_memory(conn->ws_config.max_message);
  bool granted = mcp__budget_has(&conn->all->memory, most) ||
                 make_room(conn, mcp__jsonrpc_memory(call->text.data, call->text.len));
  note_memory(conn, granted);
  return granted;
}

/* Without memory to parse a message, keeps it unparsed and pauses until there is memory. */
static void serve_or_defer(mcp__conn_t *conn, mcp_call_t *call) {
  bool granted = mcp__conn_may_parse(conn, call);
  if (conn->state != MCP__CONN_OPEN) /* closed by an eviction */
    mcp__call_release(call);
  else if (granted)
    mcp__session_serve(&conn->session, call, conn);
  else
    conn->deferred = call;
  if (conn->deferred != NULL || should_pause(conn))
    mcp__ws_pause(&conn->ws, true);
}

static void on_message(mcp__buf_t *text, bool binary, void *arg) {
  mcp__conn_t *conn = arg;
  (void)binary;
  if (conn->state != MCP__CONN_OPEN)
    return; /* closed while this input was processed */
  mcp__conn_count_message(conn);
  conn->message_ms = 0; /* further input belongs to the next message */
  mcp_call_t *call = mcp__call_acquire(&conn->session.caller);
  if (call == NULL) {
    close_with(conn, MCP__CLOSE_INTERNAL, "out of memory for a call");
    return;
  }
  mcp__buf_swap(&call->text, text);
  serve_or_defer(conn, call);
}

static void on_ws_end(int code, const char *reason, bool clean, void *arg) {
  mcp__conn_t *conn = arg;
  if (conn->state != MCP__CONN_OPEN)
    return; /* the peer answers our close */
  mcp__server_log_disconnected(&conn->peer, clean ? MCP_LOG_DEBUG : MCP_LOG_WARN, code, reason);
  if (!clean)
    mcp__count_refusal(&conn->all->service->counters, code);
  mcp__conn_start_closing(conn);
}

/* ---- handshake ------------------------------------------------------------------------------------- */

static void refuse_with(mcp__conn_t *conn, const mcp__response_head_t *head, const char *text) {
  char how[32];
  snprintf(how, sizeof how, " with %d", head->status);
  mcp__server_log_throttled(&conn->peer, now(conn), text, "refused", how, text);
  mcp__count_refusal(&conn->all->service->counters, head->status);
  mcp__buf_t *out = &conn->stream.out;
  size_t begin = out->len;
  int written = mcp__http_write_head(out, head);
  if (conn->head == NULL || !mcp__head_is_bodiless(conn->head)) /* RFC 9110 section 9.3.2 */
    written = mcp__buf_first_error(written, mcp__buf_append(out, text, head->len));
  if (written != 0)
    out->len = begin; /* the connection just ends */
  mcp__conn_start_closing(conn);
}

void mcp__conn_refuse(mcp__conn_t *conn, int status, const char *text) {
  mcp__response_head_t head = {.status = status, .type = MCP__HTTP_PLAIN_TEXT, .len = strlen(text)};
  refuse_with(conn, &head, text);
}

/* auth_problem: why the token is missing or wrong; NULL: the request is authorized. */
static void respond_get(mcp__conn_t *conn, const char *auth_problem) {
  mcp__http_request_t request = {conn->head, auth_problem == NULL, conn->stream.tls != NULL};
  mcp__http_response_t response;
  if (!mcp__pages_respond(&conn->all->site, &request, &response)) {
    mcp__conn_refuse(conn, 401, auth_problem);
    return;
  }
  mcp__conn_http_respond(conn, response.status, response.type, response.body.data, response.body.len);
  mcp__buf_deinit(&response.body);
}

static void open_websocket(mcp__conn_t *conn) {
  mcp__session_set_trace_id(&conn->session, mcp__head_value(conn->head, MCP__H_TRACE_ID));
  if (mcp__write_switching(&conn->stream.out, conn->head) != 0) {
    mcp__conn_close_now(conn);
    return;
  }
  mcp__stream_dirty(&conn->stream);
  free_head(conn);
  conn->session.transport = &ws_transport;
  conn->session.origin = conn;
  conn->session.protocol_version = MCP__2024_11_05;
  mcp__conn_enter(conn, MCP__CONN_OPEN);
  conn->all->service->counters.connections++;
  mcp__server_log_connected(&conn->peer);
}

/* MCP's stream, which has every path but those of the pages. */
static bool asks_for_stream(const mcp__head_t *head) {
  return !mcp__head_is_bodiless(head) && mcp__http_names(head, "text/event-stream") && !mcp__pages_own(head);
}

static void refuse_method(mcp__conn_t *conn) {
  static const char text[] = "unsupported method: this page has GET and HEAD\n";
  mcp__response_head_t head = {
      .status = 405, .type = MCP__HTTP_PLAIN_TEXT, .len = sizeof text - 1, .allow = "GET, HEAD, OPTIONS"};
  refuse_with(conn, &head, text);
}

static void on_head(mcp__conn_t *conn) {
  const mcp__conns_t *all = conn->all;
  mcp__http_request_kind_t kind = mcp__head_request_kind(conn->head);
  const char *auth_problem = mcp__auth_problem(&all->auth, conn->head), *origin_problem = NULL;
  if (!all->auth.required || auth_problem != NULL) /* only an authorized peer can give a page the token */
    origin_problem = mcp__origins_problem(&all->origins, conn->head, kind, conn->stream.tls != NULL);
  if (kind == MCP__HTTP_INVALID)
    mcp__conn_refuse(conn, conn->head->status, conn->head->problem);
  else if (origin_problem != NULL)
    mcp__conn_refuse(conn, 403, origin_problem);
  else if (kind == MCP__HTTP_OPTIONS) /* the same for every path and peer, because monitors use it */
    mcp__conn_http_respond(conn, 204, NULL, "", 0);
  else if (kind == MCP__HTTP_GET && !asks_for_stream(conn->head))
    respond_get(conn, auth_problem);
  else if (auth_problem != NULL)
    mcp__conn_refuse(conn, 401, auth_problem);
  else if (kind == MCP__HTTP_WEBSOCKET)
    open_websocket(conn);
  else if (mcp__pages_own(conn->head))
    refuse_method(conn);
  else
    mcp__conn_http_request(conn);
}

/* ---- input ----------------------------------------------------------------------------------------- */

size_t mcp__conn_after_feed(mcp__conn_t *conn, mcp__head_state_t state, void (*on_done)(mcp__conn_t *conn),
                            size_t used) {
  if (state == MCP__HEAD_DONE)
    on_done(conn);
  else if (state == MCP__HEAD_BAD)
    mcp__conn_refuse(conn, conn->head->status, conn->head->problem);
  return used;
}

static size_t take_head(mcp__conn_t *conn, const char *data, size_t len) {
  size_t used;
  if (conn->http != NULL && conn->head->bytes == 0)
    conn->http->since_ms = now(conn);
  mcp__head_state_t state = mcp__head_feed(conn->head, data, len, &used);
  return mcp__conn_after_feed(conn, state, on_head, used);
}

static bool reads_head(const mcp__conn_t *conn) {
  return conn->state == MCP__CONN_HANDSHAKE ||
         (conn->state == MCP__CONN_HTTP && conn->http->phase == MCP__HTTP_READS_HEAD &&
          !mcp__conn_is_over_message_rate(conn));
}

/* Returns how many bytes were used: fewer than len if the request before has to be answered first. */
static size_t take_http(mcp__conn_t *conn, const char *data, size_t len) {
  size_t used = 0, taken = 1;
  while (used < len && taken > 0 && conn->state <= MCP__CONN_HTTP) {
    if (reads_head(conn))
      taken = take_head(conn, data + used, len - used);
    else
      taken = conn->http != NULL ? mcp__conn_http_take_body(conn, data + used, len - used) : 0;
    used += taken;
  }
  return used;
}

static size_t take(mcp__conn_t *conn, const char *data, size_t len) {
  size_t used = 0;
  conn->all->service->counters.now_ns = uv_hrtime();
  if (conn->state <= MCP__CONN_HTTP)
    used = take_http(conn, data, len);
  if (conn->state == MCP__CONN_OPEN && used < len) /* data is NULL if no input was kept */
    used += mcp__ws_feed(&conn->ws, (const uint8_t *)data + used, len - used);
  if (conn->ws.pong_due)
    mcp__stream_dirty(&conn->stream);
  return conn->state >= MCP__CONN_CLOSING ? len : used;
}

static void fail_input(mcp__conn_t *conn) {
  static const char reason[] = "out of memory for input";
  if (conn->state == MCP__CONN_HTTP)
    mcp__conn_close_now(conn);
  else
    close_with(conn, MCP__CLOSE_INTERNAL, reason);
}

static void on_data(mcp__stream_t *stream, const char *data, size_t len) {
  mcp__conn_t *conn = conn_of(stream);
  conn->read_ms = now(conn);
  conn->pinged_ms = 0;
  size_t used = take(conn, data, len);
  mcp__conn_charge(conn);
  if (used == len)
    return;
  if (mcp__buf_append(&conn->input, data + used, len - used) != 0)
    fail_input(conn);
  mcp__stream_read(&conn->stream, false); /* until try_resume() */
}

/* Whether input can be taken again that was kept. */
static bool may_take(const mcp__conn_t *conn) {
  return conn->state == MCP__CONN_HTTP || (conn->state == MCP__CONN_OPEN && !conn->ws.paused);
}

static void take_kept_input(mcp__conn_t *conn) {
  mcp__buf_t input = conn->input;
  mcp__buf_init(&conn->input, input.max, NULL);
  size_t used = take(conn, input.data, input.len);
  bool is_left = conn->state < MCP__CONN_CLOSING && used < input.len;
  if (is_left && mcp__buf_append(&conn->input, input.data + used, input.len - used) != 0)
    fail_input(conn);
  mcp__buf_deinit(&input);
  mcp__conn_charge(conn);
  if (may_take(conn) && conn->input.len == 0)
    mcp__stream_read(&conn->stream, true);
}

/* Processes input kept during the pause, once there is room for more calls and output. */
static void try_resume(mcp__conn_t *conn) {
  if (conn->state == MCP__CONN_HTTP) {
    if (mcp__conn_http_resume(conn) && !conn->stream.reading)
      take_kept_input(conn);
    return;
  }
  mcp__session_begin_waiting(&conn->session);
  if (conn->state != MCP__CONN_OPEN || !conn->ws.paused || should_pause(conn))
    return;
  mcp__ws_pause(&conn->ws, false);
  mcp_call_t *deferred = conn->deferred;
  conn->deferred = NULL;
  if (deferred != NULL)
    serve_or_defer(conn, deferred);
  if (may_take(conn))
    take_kept_input(conn);
}

static void before_write(mcp__stream_t *stream) {
  mcp__conn_t *conn = conn_of(stream);
  if (conn->state == MCP__CONN_HTTP)
    mcp__conn_http_before_write(conn);
  if (conn->state != MCP__CONN_OPEN)
    return;
  mcp__session_write_notifications(&conn->session);
  mcp__ws_flush_pong(&conn->ws);
}

static void on_written(mcp__stream_t *stream) {
  mcp__conn_t *conn = conn_of(stream);
  conn->stalled_ms = 0;
  if (conn->state == MCP__CONN_CLOSING && !conn->all->stopping)
    conn->since_ms = now(conn); /* restarts the drain time: the final output has just been written */
  try_resume(conn);
}

static const mcp__stream_events_t events = {on_data, on_end, before_write, on_written, on_closed};

/* ---- accepting ---------------------------------------------------------------------------- */

static bool over_connect_rate(mcp__conns_t *all, const struct sockaddr *address) {
  uint64_t secret = 0;
  if (all->connect_rate == NULL)
    return false;
  uv_random(NULL, NULL, &secret, sizeof secret, 0, NULL);
  uint32_t count = mcp__rate_limit_count(all->connect_rate, address, uv_now(all->loop), secret);
  return count > (uint32_t)all->max_connects;
}

/* Closes the connection that has waited longest for a next HTTP request. */
static bool evict_idle(mcp__conns_t *all) {
  mcp__conn_t *idle = NULL;
  if (all->handshakes >= MCP__CONN_MAX_HANDSHAKES)
    return false; /* it would make room for no further one */
  for (mcp__conn_t *conn = all->first; conn != NULL; conn = conn->next)
    if (mcp__conn_http_is_idle(conn) &&
        (idle == NULL || conn->http->since_ms <= idle->http->since_ms)) /* newest first */
      idle = conn;
  if (idle == NULL)
    return false;
  all->slots_used -= idle->has_slot;
  idle->has_slot = false;
  mcp__conn_close_now(idle);
  return true;
}

/* Whether there is a slot for a handshake. If not, the oldest handshake is evicted, so that silent peers
 * cannot block others. */
static bool find_slot(mcp__conns_t *all) {
  mcp__conn_t *oldest = NULL;
  if (all->handshakes < MCP__CONN_MAX_HANDSHAKES && all->slots_used < all->max_connections)
    return true;
  int left = all->handshakes;
  if (evict_idle(all))
    return true;
  for (mcp__conn_t *conn = all->first; conn != NULL && left > 0; conn = conn->next) { /* newest first */
    if (!conn->in_handshake)
      continue;
    oldest = conn;
    left--;
  }
  if (oldest == NULL || now(oldest) - oldest->since_ms < MCP__CONN_HANDSHAKE_MIN_MS)
    return false;
  mcp__conn_refuse(oldest, 408, "no complete request, and the slot is needed for another connection\n");
  return true;
}

/* Returns NULL if the peer may connect, else the text of the refusal. Checks the slot last, because that may
 * evict another handshake. */
static const char *admission_problem(mcp__conns_t *all, const struct sockaddr *address, int *status) {
  *status = 403;
  if (!all->allow_public && !all->auth.required && !mcp__peer_is_private(address))
    return "only private addresses may connect: set ICCM_AUTH_TOKEN or ICCM_ALLOW_PUBLIC=1 on the server to "
           "admit others\n";
  *status = 503;
  if (over_connect_rate(all, address))
    return "too many connections from this address in a second, retry later\n";
  return find_slot(all) ? NULL : "too many connections, retry later\n";
}

static void refuse_or_begin(mcp__conn_t *conn, const struct sockaddr *address) {
  int status;
  const char *problem = admission_problem(conn->all, address, &status);
  if (problem != NULL) {
    mcp__conn_refuse(conn, status, problem);
    return;
  }
  conn->has_slot = true;
  conn->all->slots_used++;
  conn->head = mcp__malloc(sizeof *conn->head);
  if (conn->head == NULL || mcp__head_init(conn->head, true) != 0) {
    mcp__free(conn->head);
    conn->head = NULL;
    mcp__conn_close_now(conn);
    return;
  }
  conn->all->handshakes++;
  conn->in_handshake = true;
  mcp__stream_set_secret(&conn->stream, true);
  mcp__stream_read(&conn->stream, true);
}

static void begin(mcp__conn_t *conn) {
  mcp__caller_t *caller = &conn->session.caller;
  struct sockaddr_storage address = {0};
  int len = sizeof address;
  if (uv_tcp_getpeername(&conn->stream.tcp, (struct sockaddr *)&address, &len) != 0) {
    mcp__conn_close_now(conn);
    return;
  }
  mcp__stream_connected(&conn->stream);
  mcp__peer_name((struct sockaddr *)&address, conn->peer.name);
  caller->address = mcp__budget_join(&conn->all->memory, mcp__peer_network((struct sockaddr *)&address));
  if (caller->address == NULL) {
    mcp__conn_close_now(conn);
    return;
  }
  caller->account.parent = &caller->address->account;
  mcp__tls_context_t *context = conn->all->certificate.context;
  if (context != NULL && mcp__stream_start_tls(&conn->stream, context, NULL, false) != 0) {
    mcp__conn_close_now(conn);
    return;
  }
  refuse_or_begin(conn, (struct sockaddr *)&address);
}

static void init(mcp__conn_t *conn, mcp__conns_t *all) {
  conn->all = all;
  conn->peer.log = all->log;
  conn->since_ms = conn->read_ms = uv_now(all->loop);
  conn->quota = (mcp__buf_quota_t){has_room, conn};
  conn->ws_config = (mcp__ws_config_t){.max_message = all->service->calls.max_message,
                                       .quota = &conn->quota,
                                       .out = &conn->stream.out,
                                       .on_message = on_message,
                                       .on_end = on_ws_end,
                                       .arg = conn};
  mcp__ws_init(&conn->ws, &conn->ws_config);
  mcp__session_init(&conn->session, all->service, &mcp__http_transport, &conn->peer, conn);
  /* Part of a TLS record may have arrived before the current read. */
  mcp__buf_init(&conn->input, MCP__STREAM_INPUT_BYTES + MCP__TLS_RECORD, NULL);
  conn->next = all->first;
  if (all->first != NULL)
    all->first->prev = conn;
  all->first = conn;
}

int mcp__conns_accept(mcp__conns_t *all, uv_stream_t *listener) {
  mcp__conn_t *conn = mcp__calloc(sizeof *conn);
  int status =
      conn != NULL ? mcp__stream_init(&conn->stream, &all->io, MCP__CALL_MAX_OUT, &events, conn) : UV_ENOMEM;
  if (status != 0) {
    mcp__free(conn);
    return status;
  }
  init(conn, all);
  if (uv_accept(listener, (uv_stream_t *)&conn->stream.tcp) != 0)
    mcp__conn_close_now(conn);
  else
    begin(conn);
  return 0;
}

/* ---- timeouts -------------------------------------------------------------------------------------- */

static bool is_write_stalled(mcp__conn_t *conn, uint64_t now_ms) {
  size_t bytes = mcp__stream_backlog(&conn->stream) - conn->stream.out.len;
  if (bytes == 0 || bytes != conn->stalled_bytes || conn->stalled_ms == 0) {
    conn->stalled_bytes = bytes;
    conn->stalled_ms = bytes > 0 ? now_ms : 0;
    return false;
  }
  return now_ms - conn->stalled_ms > MCP__CONN_WRITE_STALL_MS;
}

/* Whether a message arrives so slowly that it would hold its memory indefinitely. Control frames between its
 * fragments do not count. */
bool mcp__conn_is_trickling(mcp__conn_t *conn, bool is_incomplete, size_t len, uint64_t now_ms) {
  if (!is_incomplete) {
    conn->message_ms = 0;
  } else if (conn->message_ms == 0 ||
             (len - conn->message_len >= MCP__CONN_MESSAGE_MIN_BYTES &&
              len - conn->message_len >= conn->message_len / MCP__CONN_MESSAGE_MIN_PART)) {
    conn->message_ms = now_ms;
    conn->message_len = len;
  }
  return conn->message_ms != 0 && now_ms - conn->message_ms > MCP__CONN_MESSAGE_STALL_MS;
}

static bool backlog_too_large(const mcp__conn_t *conn) {
  size_t most = conn->largest_response > MCP__CONN_BACKLOG_CLOSE / 2 ? conn->largest_response * 2
                                                                     : MCP__CONN_BACKLOG_CLOSE;
  return mcp__stream_backlog(&conn->stream) > most;
}

/* Memory is used up, and this connection holds more than its share in unread responses. */
static bool over_output_share(const mcp__conn_t *conn) {
  return !mcp__budget_has(&conn->all->memory, 0) &&
         mcp__stream_backlog(&conn->stream) > MCP__CONN_BACKLOG_PAUSE &&
         mcp__budget_exceeds_share(&conn->all->memory, conn->session.caller.address, account_of(conn));
}

/* Not starved if memory for as much again is free: then its turn has come. */
static bool is_starved(const mcp__conn_t *conn, uint64_t now_ms) {
  return conn->starved_ms != 0 && now_ms - conn->starved_ms > MCP__CONN_MEMORY_STALL_MS &&
         (conn->deferred != NULL || !mcp__budget_has(&conn->all->memory, account_of(conn)->used));
}

static void tick_open(mcp__conn_t *conn, uint64_t now_ms) {
  static const char silent[] = " for inactivity";
  const mcp__caller_t *caller = &conn->session.caller;
  uint64_t quiet = now_ms - conn->read_ms;
  if ((conn->ws.paused && !should_pause(conn)) || (caller->waiting != NULL && mcp__call_may_begin(caller)))
    mcp__stream_dirty(&conn->stream); /* the window has ended: the next write, even an empty one, resumes */
  if (is_write_stalled(conn, now_ms) || backlog_too_large(conn)) {
    close_with(conn, MCP__CLOSE_POLICY, "answers are not being read");
  } else if (over_output_share(conn) || is_starved(conn, now_ms)) {
    evict(conn);
  } else if (!conn->stream.reading) {
    conn->read_ms = now_ms; /* reading is paused by the server: silence is expected */
    conn->message_ms = 0;
  } else if (mcp__conn_is_trickling(conn, mcp__ws_in_message(&conn->ws), conn->ws.message.len, now_ms)) {
    close_with(conn, MCP__CLOSE_PROTOCOL,
               "message too slow: in 30 s neither complete nor 32 KiB and a sixteenth more");
  } else if (conn->pinged_ms != 0 && now_ms - conn->pinged_ms > MCP__CONN_PONG_MS) {
    mcp__server_log_throttled(&conn->peer, now(conn), silent, "closed", silent, "it does not answer pings");
    mcp__conn_close_now(conn);
  } else if (conn->pinged_ms == 0 && quiet > MCP__CONN_PING_MS && mcp__ws_ping(&conn->ws) == 0) {
    conn->pinged_ms = now_ms;
    mcp__stream_dirty(&conn->stream);
  }
  if (conn->state == MCP__CONN_OPEN &&
      quiet > MCP__CONN_TICK_MS) { /* an idle connection keeps little memory */
    if (!mcp__ws_in_message(&conn->ws))
      mcp__buf_clear(&conn->ws.message, MCP__STREAM_KEEP_BYTES);
    mcp__stream_trim(&conn->stream);
    mcp__conn_charge(conn);
  }
}

/* Final output may be large, for example /metrics: it is written as long as the peer reads. */
static bool is_draining(mcp__conn_t *conn, uint64_t age_ms) {
  size_t before = conn->stalled_bytes, bytes = mcp__stream_unacked(&conn->stream);
  conn->stalled_bytes = bytes;
  return bytes > 0 && (before == 0 || bytes < before) && age_ms <= MCP__CONN_WRITE_STALL_MS &&
         !conn->all->stopping;
}

static void tick_http(mcp__conn_t *conn, uint64_t now_ms) {
  if (is_write_stalled(conn, now_ms))
    mcp__conn_close_now(conn);
  else if (over_output_share(conn) || is_starved(conn, now_ms))
    evict(conn);
  else
    mcp__conn_http_tick(conn, now_ms);
}

static void tick(mcp__conn_t *conn, uint64_t now_ms) {
  uint64_t age = now_ms - conn->since_ms;
  if (conn->state == MCP__CONN_OPEN)
    tick_open(conn, now_ms);
  else if (conn->state == MCP__CONN_HTTP)
    tick_http(conn, now_ms);
  else if (conn->state == MCP__CONN_HANDSHAKE && age > MCP__CONN_HANDSHAKE_MS)
    mcp__conn_refuse(conn, 408, "no complete request within 5 s\n");
  else if (conn->state == MCP__CONN_CLOSING && !is_draining(conn, age) && age > MCP__CONN_DRAIN_MS)
    mcp__conn_close_now(conn);
}

static void stop(mcp__conn_t *conn, bool at_once) {
  const mcp__caller_t *caller = &conn->session.caller;
  if (conn->state == MCP__CONN_HANDSHAKE)
    mcp__conn_close_now(conn);
  else if (conn->state == MCP__CONN_HTTP)
    mcp__conn_http_stop(conn, at_once);
  else if (conn->state == MCP__CONN_OPEN)
    mcp__session_end_subscriptions(&conn->session);
  if (conn->state == MCP__CONN_OPEN && (at_once || (caller->in_flight == NULL && caller->waiting == NULL)))
    close_with(conn, MCP__CLOSE_RESTART, "the server is stopping");
}

/* ---- all connections ------------------------------------------------------------------------------- */

int mcp__conns_open(mcp__conns_t *all) {
  all->io.prepare.data = all->arg;
  all->io.max_kept = MCP__CONN_KEPT_MAX;
  return mcp__io_init(&all->io, all->loop);
}

void mcp__conns_tick(mcp__conns_t *all) {
  uint64_t now_ms = uv_now(all->loop);
  if (now_ms - all->window_begin_ms >= MCP__RATE_LIMIT_WINDOW_MS) {
    all->window_begin_ms = now_ms;
    all->window++;
  }
  for (mcp__conn_t *conn = all->first, *next; conn != NULL; conn = next) {
    next = conn->next;
    tick(conn, now_ms);
  }
  mcp__http_sessions_tick(&all->http_sessions, now_ms);
}

void mcp__conns_stop(mcp__conns_t *all, bool at_once) {
  for (mcp__conn_t *conn = all->first, *next; conn != NULL; conn = next) {
    next = conn->next;
    stop(conn, at_once);
  }
}

size_t mcp__conns_count_open(const mcp__conns_t *all) {
  size_t count = 0;
  for (const mcp__conn_t *conn = all->first; conn != NULL; conn = conn->next)
    count += conn->state == MCP__CONN_OPEN || (conn->state == MCP__CONN_HTTP && conn->http->is_admitted);
  return count;
}

void mcp__conns_tools_changed(mcp__conns_t *all) {
  for (mcp__conn_t *conn = all->first; conn != NULL; conn = conn->next)
    mcp__session_tools_changed(&conn->session);
  for (mcp__http_session_t *each = all->http_sessions.first; each != NULL; each = each->next)
    mcp__session_tools_changed(&each->session);
}

void mcp__conns_notify(mcp__conns_t *all) {
  for (mcp__conn_t *conn = all->first; conn != NULL; conn = conn->next)
    mcp__session_notify(&conn->session);
  for (mcp__http_session_t *each = all->http_sessions.first; each != NULL; each = each->next)
    mcp__session_notify(&each->session);
}
