/* test_http_sessions.c: sessions by their ids, with a clock of the test: how many there may be, which one is
 * replaced, and when one ends. */
#include "server/http_sessions.h"
#include "leaks.h"

#include <stdlib.h>
#include <string.h>

static void call_removed(mcp__session_t *session) {
  (void)session;
}

static const mcp__transport_t transport = {.call_removed = call_removed};

typedef struct place {
  mcp__http_sessions_t all;
  mcp__service_t service;
  mcp__budget_t memory;
  mcp__peer_t peer;
  mcp__session_t opener;
} place_t;

static place_t place;

static void open_place(void) {
  memset(&place, 0, sizeof place);
  place.memory.max = 64 << 20;
  place.service.calls.memory = &place.memory;
  mcp__session_init(&place.opener, &place.service, &transport, &place.peer, NULL);
  place.opener.caller.address = mcp__budget_join(&place.memory, 1);
  cr_assert_not_null(place.opener.caller.address);
}

static void close_place(void) {
  mcp__http_sessions_end_all(&place.all);
  cr_expect_eq(place.all.count, 0);
  mcp__budget_leave(&place.memory, place.opener.caller.address);
  expect_no_leak();
}

TestSuite(http_sessions, .init = open_place, .fini = close_place);

static mcp__http_session_t *begin(uint64_t now_ms) {
  return mcp__http_sessions_new(&place.all, &place.opener, &transport, now_ms);
}

static mcp__http_session_t *begin_kept(uint64_t now_ms) {
  mcp__http_session_t *session = begin(now_ms);
  cr_assert_not_null(session);
  mcp__http_session_keep(session);
  return session;
}

Test(http_sessions, ids_are_found_and_differ) {
  mcp__http_session_t *first = begin_kept(0), *second = begin_kept(0);
  cr_expect_eq(strlen(first->id), MCP__HTTP_SESSION_ID_SIZE - 1);
  cr_expect_eq(strspn(first->id, "0123456789abcdef"), MCP__HTTP_SESSION_ID_SIZE - 1);
  cr_expect_str_neq(first->id, second->id);
  cr_expect_eq(mcp__http_sessions_find(&place.all, first->id, NULL), first);
  cr_expect_eq(mcp__http_sessions_find(&place.all, second->id, NULL), second);
  cr_expect_null(mcp__http_sessions_find(&place.all, "", NULL));
  char id[MCP__HTTP_SESSION_ID_SIZE];
  strcpy(id, first->id);
  mcp__http_sessions_end(&place.all, first);
  cr_expect_null(mcp__http_sessions_find(&place.all, id, NULL));
  cr_expect_eq(place.all.count, 1);
}

Test(http_sessions, end_when_they_were_idle_for_too_long) {
  mcp__http_session_t *session = begin_kept(1000), *busy = begin_kept(1000);
  mcp__http_session_hold(&place.all, busy);
  mcp__http_session_hold(&place.all, session);
  mcp__http_session_hold(&place.all, session); /* a stream */
  mcp__http_session_release(session, 2000);
  mcp__http_sessions_tick(&place.all, 2000 + 2 * MCP__HTTP_SESSION_IDLE_MS);
  cr_expect_eq(place.all.count, 2, "both have requests");
  mcp__http_session_release(session, 5000);
  mcp__http_sessions_tick(&place.all, 5000 + MCP__HTTP_SESSION_IDLE_MS);
  cr_expect_eq(place.all.count, 2);
  mcp__http_sessions_tick(&place.all, 5001 + MCP__HTTP_SESSION_IDLE_MS);
  cr_expect_eq(place.all.count, 1);
  mcp__http_session_release(busy, 6000);
}

Test(http_sessions, a_temporary_one_ends_with_its_request) {
  mcp__http_session_t *session = begin(0), *kept = begin(0);
  mcp__http_session_hold(&place.all, session);
  mcp__http_session_hold(&place.all, kept);
  mcp__http_session_keep(kept);
  mcp__http_sessions_tick(&place.all, 0);
  cr_expect_eq(place.all.count, 2);
  mcp__http_session_release(session, 0);
  mcp__http_session_release(kept, 0);
  mcp__http_sessions_tick(&place.all, 0);
  cr_expect_eq(place.all.first, kept);
  cr_expect_eq(place.all.count, 1);
}

static void fill(mcp__http_session_t **sessions) { /* used one after the other */
  for (int i = 0; i < MCP__HTTP_MAX_SESSIONS; i++)
    sessions[i] = begin_kept((uint64_t)i);
}

Test(http_sessions, one_more_replaces_the_one_that_is_idle_longest) {
  static mcp__http_session_t *sessions[MCP__HTTP_MAX_SESSIONS];
  fill(sessions);
  cr_expect_null(begin(MCP__HTTP_SESSION_MIN_MS - 1), "each was used within a minute");
  mcp__http_session_hold(&place.all, sessions[0]); /* is in use */
  mcp__http_session_hold(&place.all, sessions[1]);
  mcp__http_session_release(sessions[1], 30000); /* was used since */
  char id[MCP__HTTP_SESSION_ID_SIZE];
  strcpy(id, sessions[2]->id);
  cr_expect_null(begin(1 + MCP__HTTP_SESSION_MIN_MS));
  cr_expect_not_null(begin(2 + MCP__HTTP_SESSION_MIN_MS));
  cr_expect_null(mcp__http_sessions_find(&place.all, id, NULL));
  cr_expect_eq(place.all.count, MCP__HTTP_MAX_SESSIONS);
  mcp__http_session_release(sessions[0], 0);
}

/* A peer that begins many without an answer to initialize takes nobody's place. */
Test(http_sessions, temporary_ones_are_replaced_at_once) {
  for (int i = 0; i < MCP__HTTP_MAX_SESSIONS; i++)
    cr_assert_not_null(begin(1000));
  mcp__http_session_keep(place.all.first);
  char id[MCP__HTTP_SESSION_ID_SIZE];
  strcpy(id, place.all.first->id);
  for (int i = 0; i < 10; i++)
    cr_expect_not_null(begin(1000));
  cr_expect_not_null(mcp__http_sessions_find(&place.all, id, NULL));
  cr_expect_eq(place.all.count, MCP__HTTP_MAX_SESSIONS);
}

Test(http_sessions, none_is_replaced_that_is_in_use) {
  static mcp__http_session_t *sessions[MCP__HTTP_MAX_SESSIONS];
  fill(sessions);
  for (int i = 0; i < MCP__HTTP_MAX_SESSIONS; i++)
    mcp__http_session_hold(&place.all, sessions[i]);
  cr_expect_null(begin(UINT64_MAX / 2));
  for (int i = 0; i < MCP__HTTP_MAX_SESSIONS; i++)
    mcp__http_session_release(sessions[i], 0);
}
