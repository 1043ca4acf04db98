/* http_sessions.c: a list in the order of use. It is searched from its front, where the sessions that are in
 * use stand; at most MCP__HTTP_MAX_SESSIONS are compared. */
#include "server/http_sessions.h"

#include "iccm_service.h"

#include <assert.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

static void unlink_session(mcp__http_sessions_t *all, mcp__http_session_t *session) {
  *(session->prev != NULL ? &session->prev->next : &all->first) = session->next;
  if (session->next != NULL)
    session->next->prev = session->prev;
  session->prev = session->next = NULL;
  all->count--;
}

static void link_session(mcp__http_sessions_t *all, mcp__http_session_t *session) {
  session->next = all->first;
  if (all->first != NULL)
    all->first->prev = session;
  all->first = session;
  all->count++;
}

/* Since when it may be replaced; a temporary one, which ends soon anyway, before all others. */
static uint64_t idle_since(const mcp__http_session_t *session) {
  return session->is_temporary ? 0 : session->used_ms + MCP__HTTP_SESSION_MIN_MS;
}

static mcp__http_session_t *idle_longest(const mcp__http_sessions_t *all) {
  mcp__http_session_t *found = NULL;
  for (mcp__http_session_t *session = all->first; session != NULL; session = session->next)
    if (session->requests == 0 && (found == NULL || idle_since(session) < idle_since(found)))
      found = session;
  return found;
}

/* Whether there is room for one more. */
static bool make_room(mcp__http_sessions_t *all, uint64_t now_ms) {
  if (all->count < MCP__HTTP_MAX_SESSIONS)
    return true;
  mcp__http_session_t *idle = idle_longest(all);
  if (idle == NULL || now_ms < idle_since(idle))
    return false;
  mcp__http_sessions_end(all, idle);
  return true;
}

static int make_id(char id[MCP__HTTP_SESSION_ID_SIZE]) {
  unsigned char bytes[(MCP__HTTP_SESSION_ID_SIZE - 1) / 2];
  if (RAND_bytes(bytes, sizeof bytes) != 1)
    return UV_EIO;
  for (size_t i = 0; i < sizeof bytes; i++)
    snprintf(id + 2 * i, 3, "%02x", bytes[i]);
  return 0;
}

mcp__http_session_t *mcp__http_sessions_new(mcp__http_sessions_t *all, const mcp__session_t *opener,
                                            const mcp__transport_t *transport, uint64_t now_ms) {
  mcp__http_session_t *session = make_room(all, now_ms) ? mcp__calloc(sizeof *session) : NULL;
  if (session == NULL || make_id(session->id) != 0) {
    mcp__free(session);
    return NULL;
  }
  mcp__caller_t *caller = &session->session.caller;
  session->peer = *opener->caller.peer;
  mcp__token_hold(session->peer.token);
  session->used_ms = now_ms;
  session->is_temporary = true;
  mcp__session_init(&session->session, opener->service, transport, &session->peer, session);
  caller->address = opener->caller.address;
  caller->account.parent = opener->caller.account.parent;
  mcp__budget_hold(caller->address);
  link_session(all, session);
  return session;
}

mcp__http_session_t *mcp__http_sessions_find(const mcp__http_sessions_t *all, const char *id,
                                             const mcp__token_t *token) {
  mcp__http_session_t *session = all->first;
  while (session != NULL && (strcmp(session->id, id) != 0 || session->peer.token != token))
    session = session->next;
  return session;
}

void mcp__http_session_keep(mcp__http_session_t *session) {
  session->is_temporary = false;
}

void mcp__http_session_hold(mcp__http_sessions_t *all, mcp__http_session_t *session) {
  session->requests++;
  unlink_session(all, session);
  link_session(all, session);
}

void mcp__http_session_release(mcp__http_session_t *session, uint64_t now_ms) {
  assert(session->requests > 0);
  session->requests--;
  session->used_ms = now_ms;
}

void mcp__http_sessions_end(mcp__http_sessions_t *all, mcp__http_session_t *session) {
  assert(session->requests == 0);
  unlink_session(all, session);
  mcp__session_close(&session->session);
  mcp__budget_release(session->session.caller.calls->memory, session->session.caller.address);
  mcp__session_deinit(&session->session);
  mcp__token_release(session->peer.token);
  mcp__free(session);
}

static bool has_expired(const mcp__http_session_t *session, uint64_t now_ms) {
  if (session->requests > 0)
    return false;
  const mcp__caller_t *caller = &session->session.caller;
  const mcp__token_t *token = session->peer.token;
  bool has_ended = token != NULL && mcp__token_has_ended(token, mcp_time_now_us());
  return has_ended || session->is_temporary ||
         (caller->in_flight == NULL && caller->waiting == NULL &&
          now_ms - session->used_ms > MCP__HTTP_SESSION_IDLE_MS);
}

void mcp__http_sessions_tick(mcp__http_sessions_t *all, uint64_t now_ms) {
  for (mcp__http_session_t *session = all->first, *next; session != NULL; session = next) {
    next = session->next;
    mcp__session_begin_waiting(&session->session);
    if (has_expired(session, now_ms))
      mcp__http_sessions_end(all, session);
  }
}

void mcp__http_sessions_end_all(mcp__http_sessions_t *all) {
  while (all->first != NULL)
    mcp__http_sessions_end(all, all->first);
}
