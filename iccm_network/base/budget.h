/* budget.h: memory for what peers sent and what is made of it: how much there is, who holds how much of it,
 * and who has to give way. Knows no connection; used on one thread.
 *
 * An account is a connection's, an address's or the server's; what one holds counts to its parent, too.
 * Memory is counted by its owner, which says how much it holds whenever that may have changed: so counting
 * costs a few additions for each message, whatever its size. */
#ifndef MCP_BUDGET_H
#define MCP_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MCP__BUDGET_THRESHOLD_DIVISOR = 4 }; /* up to this part of all memory nobody has to do with a share */

typedef struct mcp__budget_account {
  struct mcp__budget_account *parent;
  size_t used;
} mcp__budget_account_t;

typedef struct mcp__budget_address {
  mcp__budget_account_t account;
  struct mcp__budget_address *next;
  uint64_t network;   /* see mcp__peer_network() */
  size_t connections; /* that are there */
  size_t users;       /* these, and whatever of connections that have gone still holds memory */
} mcp__budget_address_t;

typedef struct mcp__budget {
  mcp__budget_account_t all;
  size_t max;
  mcp__budget_address_t *addresses;
  size_t active; /* addresses with connections */
} mcp__budget_t;

/* A connection comes from an address: its entry, or NULL where there is no memory. Each join is followed by a
 * part, and each hold by a release. */
mcp__budget_address_t *mcp__budget_join(mcp__budget_t *budget, uint64_t network);
void mcp__budget_leave(mcp__budget_t *budget, mcp__budget_address_t *address);
void mcp__budget_release(mcp__budget_t *budget, mcp__budget_address_t *address);
static inline void mcp__budget_hold(mcp__budget_address_t *address) {
  address->users++;
}

/* Who was charged for *charged bytes holds now bytes instead. */
static inline void mcp__budget_charge(mcp__budget_account_t *account, size_t *charged, size_t now) {
  size_t more = now - *charged; /* or less: unsigned sums come out right */
  if (more == 0)
    return;
  *charged = now;
  for (; account != NULL; account = account->parent)
    account->used += more;
}

static inline bool mcp__budget_has(const mcp__budget_t *budget, size_t more) {
  return budget->all.used <= budget->max && more <= budget->max - budget->all.used;
}

/* Whether memory gets scarce and a connection of the address holds more than its share of what is held
 * calmly: the same for each address, and of that the same for each of its connections. */
bool mcp__budget_exceeds_share(const mcp__budget_t *budget, const mcp__budget_address_t *address,
                               const mcp__budget_account_t *account);

/* Where there is no room for more bytes of one connection: whether another one is to give way to it. It is
 * where its address holds twice what the other one's would then or, within one address, it does itself. */
bool mcp__budget_outweighs(const mcp__budget_account_t *heavy, const mcp__budget_account_t *account,
                           size_t more);

#endif
