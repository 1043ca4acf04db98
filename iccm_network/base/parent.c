/* parent.c: the list of a call's children. A child leaves the list once: when it ends, when its parent ends,
 * or when its parent is cancelled. */
#include "base/parent.h"

#include <assert.h>
int mcp__parent_may_adopt(const mcp__parent_t *parent) {
  if (parent->on_pool)
    return MCP_ESTATE;
  return atomic_load(&parent->cancelled) ? MCP_ECANCELED : 0;
}

void mcp__parent_adopt(mcp__parent_t *parent, mcp__child_t *child) {
  child->parent = parent;
  child->prev = NULL;
  child->next = parent->children;
  if (child->next != NULL)
    child->next->prev = child;
  parent->children = child;
}

void mcp__child_leave(mcp__child_t *child) {
  if (child->parent == NULL)
    return;
  assert(child->prev != NULL ? child->prev->next == child : child->parent->children == child);
  assert(child->next == NULL || child->next->prev == child);
  *(child->prev != NULL ? &child->prev->next : &child->parent->children) = child->next;
  if (child->next != NULL)
    child->next->prev = child->prev;
  child->parent = NULL;
}

void mcp__parent_leave_children(mcp__parent_t *parent) {
  while (parent->children != NULL)
    mcp__child_leave(parent->children);
}

void mcp__parent_cancel_children(mcp__parent_t *parent) {
  while (parent->children != NULL) {
    mcp__child_t *child = parent->children;
    mcp__child_leave(child);
    child->on_cancel(child);
  }
}
