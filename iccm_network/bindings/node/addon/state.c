/* See state.h. */
#include "state.h"

#include <stdlib.h>

void addon_member_add(state_t *state, member_t *member, void (*end)(member_t *member)) {
  member->state = state;
  member->end = end;
  member->before = NULL;
  member->next = state->members;
  if (state->members != NULL)
    state->members->before = member;
  state->members = member;
}

static void on_lookups_closed(uv_handle_t *timer) {
  napi_remove_async_cleanup_hook(((state_t *)timer->data)->hook);
}

static void on_lookups_timer(uv_timer_t *timer) {
  if (timer->loop->active_reqs.count == 0)
    uv_close((uv_handle_t *)timer, on_lookups_closed);
}

/* A lookup of a name that has begun cannot be cancelled and outlives its client. Node does not know of it,
 * and aborts the process if a request is active when it closes the loop of a worker. libuv has no callback
 * for the end of all requests. */
static void wait_for_lookups(state_t *state) {
  state->lookups.data = state;
  uv_timer_init(state->loop, &state->lookups);
  uv_timer_start(&state->lookups, on_lookups_timer, 0, 10);
}

void addon_member_remove(member_t *member) {
  state_t *state = member->state;
  if (member->before != NULL)
    member->before->next = member->next;
  else
    state->members = member->next;
  if (member->next != NULL)
    member->next->before = member->before;
  if (state->ending && state->members == NULL)
    wait_for_lookups(state);
}

/* napi_make_callback() runs the microtasks, which napi_call_function() does not. It needs an object as
 * receiver. An exception of a user's callback is an uncaught exception, as in the callbacks of Node itself.
 */
void addon_emit(state_t *state, napi_ref function, size_t count,
                void (*make_args)(napi_env env, napi_value *args, const void *event), const void *event) {
  napi_env env = state->env;
  napi_handle_scope scope;
  if (state->ending || function == NULL || napi_open_handle_scope(env, &scope) != napi_ok)
    return;
  napi_value receiver, target, result, args[8];
  napi_get_reference_value(env, state->receiver, &receiver);
  napi_get_reference_value(env, function, &target);
  if (make_args != NULL)
    make_args(env, args, event);
  if (napi_make_callback(env, state->context, receiver, target, count, args, &result) ==
          napi_pending_exception &&
      napi_get_and_clear_last_exception(env, &result) == napi_ok)
    napi_fatal_exception(env, result);
  napi_close_handle_scope(env, scope);
}

once_t *addon_once_new(state_t *state, napi_value function) {
  once_t *once = addon_alloc(sizeof *once);
  once->state = state;
  once->function = addon_function_ref(state->env, function);
  return once;
}

void addon_once_free(once_t *once) {
  addon_ref_free(once->state->env, once->function);
  free(once);
}

void addon_once_emit(once_t *once, size_t count,
                     void (*make_args)(napi_env env, napi_value *args, const void *event),
                     const void *event) {
  addon_emit(once->state, once->function, count, make_args, event);
  addon_once_free(once);
}
