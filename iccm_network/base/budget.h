/* budget.h: accounts for memory that holds received messages and the data made from them: the total, the
 * usage of each address and connection, and the connection to close when memory is short. It does not know
 * connections. Single-threaded.
 *
 * An account belongs to a connection, an address or the server; its usage counts for its parent as well. The
 * owner of memory reports its current size after each change, so accounting costs a few additions for each
 * message, whatever its size. */
#ifndef MCP_BUDGET_H
#define MCP_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* no shares apply while the usage is at most max divided by this */
enum { MCP__BUDGET_THRESHOLD_DIVISOR = 4 };

typedef struct mcp__budget_account {
  struct mcp__budget_account *parent;
  size_t used;
} mcp__budget_account_t;

typedef struct mcp__budget_address {
  mcp__budget_account_t account;
  struct mcp__budget_address *next;
  uint64_t network;   /* see mcp__peer_network() */
  size_t connections; /* open ones */
  /* The connections, and objects of closed connections that still hold memory. */
  size_t users;
} mcp__budget_address_t;

typedef struct mcp__budget {
  mcp__budget_account_t all;
  size_t max;
  mcp__budget_address_t *addresses;
  size_t active; /* addresses with connections */
} mcp__budget_t;

/* Adds a connection from an address and returns the entry of the address; NULL: out of memory. Each join
 * needs a leave, each hold a release. */
mcp__budget_address_t *mcp__budget_join(mcp__budget_t *budget, uint64_t network);
void mcp__budget_leave(mcp__budget_t *budget, mcp__budget_address_t *address);
void mcp__budget_release(mcp__budget_t *budget, mcp__budget_address_t *address);
static inline void mcp__budget_hold(mcp__budget_address_t *address) {
  address->users++;
}

/* Changes the usage of an account and its parents from *charged to now bytes, and sets *charged. */
static inline void mcp__budget_charge(mcp__budget_account_t *account, size_t *charged, size_t now) {
  size_t more = now - *charged; /* may be negative: unsigned arithmetic wraps correctly */
  if (more == 0)
    return;
  *charged = now;
  for (; account != NULL; account = account->parent)
    account->used += more;
}

static inline bool mcp__budget_has(const mcp__budget_t *budget, size_t more) {
  return budget->all.used <= budget->max && more <= budget->max - budget->all.used;
}

/* Whether usage is above the threshold and the connection holds more than its share. The threshold is divided
 * equally among addresses with connections, and the share of an address equally among its connections. */
bool mcp__budget_exceeds_share(const mcp__budget_t *budget, const mcp__budget_address_t *address,
                               const mcp__budget_account_t *account);

/* Whether the connection heavy has to be closed to make room for more bytes of another one. True if its
 * address holds twice what the address of the other one would hold or, within one address, if the connection
 * itself does. */
bool mcp__budget_outweighs(const mcp__budget_account_t *heavy, const mcp__budget_account_t *account,
                           size_t more);

#endif
