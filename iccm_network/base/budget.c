/* budget.c: see budget.h. */
#include "base/budget.h"

#include "base/mem.h"

#include <assert.h>
mcp__budget_address_t *mcp__budget_join(mcp__budget_t *budget, uint64_t network) {
  mcp__budget_address_t *address = budget->addresses;
  while (address != NULL && address->network != network)
    address = address->next;
  if (address == NULL) {
    address = mcp__malloc(sizeof *address);
    if (address == NULL)
      return NULL;
    *address = (mcp__budget_address_t){
        .account = {.parent = &budget->all}, .next = budget->addresses, .network = network};
    budget->addresses = address;
  }
  budget->active += address->connections == 0;
  address->connections++;
  address->users++;
  return address;
}

void mcp__budget_leave(mcp__budget_t *budget, mcp__budget_address_t *address) {
  assert(address->connections > 0);
  address->connections--;
  budget->active -= address->connections == 0;
  mcp__budget_release(budget, address);
}

void mcp__budget_release(mcp__budget_t *budget, mcp__budget_address_t *address) {
  assert(address->users > 0);
  if (--address->users > 0)
    return;
  mcp__budget_address_t **at = &budget->addresses;
  while (*at != address)
    at = &(*at)->next;
  *at = address->next;
  mcp__free(address);
}

bool mcp__budget_exceeds_share(const mcp__budget_t *budget, const mcp__budget_address_t *address,
                               const mcp__budget_account_t *account) {
  size_t threshold = budget->max / MCP__BUDGET_THRESHOLD_DIVISOR;
  return budget->all.used > threshold && account->used > threshold / budget->active / address->connections;
}

bool mcp__budget_outweighs(const mcp__budget_account_t *heavy, const mcp__budget_account_t *account,
                           size_t more) {
  if (heavy->parent != account->parent) {
    heavy = heavy->parent;
    account = account->parent;
  }
  return heavy->used / 2 > account->used + more;
}
