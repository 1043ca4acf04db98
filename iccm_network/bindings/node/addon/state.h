/* state: the state of one environment of Node, which is the main thread or a worker thread, and the way of
 * events from the library to JavaScript.
 *
 * Happy path: the servers and clients of an environment run on its own loop and are in its list. The library
 * reports events on that loop, and addon_emit() calls the JavaScript function for each.
 * The end: when a worker is terminated or the process ends, Node calls the cleanup hook. From then on
 * JavaScript must not run any more. The hook ends the calls in flight, stops the servers and closes the
 * clients; the environment waits until the last of them is closed and no name is being looked up. */
#ifndef ICCM_ADDON_STATE_H
#define ICCM_ADDON_STATE_H

#include "value.h"

#include <iccm_network.h>
#include <uv.h>

/* A call that is being served. JavaScript knows it by its number. */
typedef struct served {
  struct state *state;
  mcp_call_t *call; /* NULL: the number is free */
  uint32_t number;
} served_t;

/* A server or client in the list of its environment. */
typedef struct member {
  struct state *state;
  struct member *before, *next;
  void (*end)(struct member *member); /* stops or closes it, without JavaScript */
} member_t;

typedef struct state {
  napi_env env;
  uv_loop_t *loop;
  napi_async_context context;
  napi_ref receiver;     /* `this` of the functions that receive events */
  napi_ref on_cancelled; /* called with the number of a served call */
  member_t *members;
  served_t **served; /* by number */
  uint32_t served_count, served_size;
  uint32_t *free_numbers; /* a stack, with room for served_size */
  uint32_t free_count;
  bool ending; /* JavaScript must not run any more */
  napi_async_cleanup_hook_handle hook;
  uv_timer_t lookups; /* waits for lookups at the end */
} state_t;

void addon_member_add(state_t *state, member_t *member, void (*end)(member_t *member));

/* Removes a member whose native part is closed. The last one lets an environment that is ending end. */
void addon_member_remove(member_t *member);

/* Calls a JavaScript function with an event. make_args creates its arguments, count of them, in a scope that
 * ends with the call. Promises that the function settles run before this returns. Does nothing if the
 * environment is ending. */
void addon_emit(state_t *state, napi_ref function, size_t count,
                void (*make_args)(napi_env env, napi_value *args, const void *event), const void *event);

/* A JavaScript function that is called once. */
typedef struct once {
  state_t *state;
  napi_ref function;
} once_t;

once_t *addon_once_new(state_t *state, napi_value function);
void addon_once_free(once_t *once);

/* Calls and frees it. */
void addon_once_emit(once_t *once, size_t count,
                     void (*make_args)(napi_env env, napi_value *args, const void *event), const void *event);

#endif
