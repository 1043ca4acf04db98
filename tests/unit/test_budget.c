/* test_budget.c: usage by account, shares, and which connection is closed. */
#include "base/budget.h"
#include "leaks.h"

#include <criterion/criterion.h>

enum { KIB = 1024 };

/* A connection and its charged bytes. */
typedef struct conn {
  mcp__budget_address_t *address;
  mcp__budget_account_t account;
  size_t charged;
} conn_t;

static mcp__budget_t budget;

static conn_t join(uint64_t network) {
  conn_t conn = {.address = mcp__budget_join(&budget, network)};
  conn.account.parent = &conn.address->account;
  return conn;
}

static void hold(conn_t *conn, size_t bytes) {
  mcp__budget_charge(&conn->account, &conn->charged, bytes);
}

static void part(conn_t *conn) {
  hold(conn, 0);
  mcp__budget_leave(&budget, conn->address);
}

static bool is_over(const conn_t *conn) {
  return mcp__budget_exceeds_share(&budget, conn->address, &conn->account);
}

Test(budget, what_is_held_counts_to_connection_address_and_server) {
  budget = (mcp__budget_t){.max = 1000 * KIB};
  conn_t a = join(1), b = join(1), c = join(2);
  cr_expect_eq(a.address, b.address);
  hold(&a, 100);
  hold(&b, 20);
  hold(&c, 3);
  cr_expect_eq(a.account.used, 100);
  cr_expect_eq(a.address->account.used, 120);
  cr_expect_eq(budget.all.used, 123);
  hold(&a, 50);
  cr_expect_eq(budget.all.used, 73);
  part(&a);
  part(&c);
  cr_expect_eq(budget.active, 1);
  cr_expect_eq(b.address->account.used, 20);
  part(&b);
  cr_expect_eq(budget.all.used, 0);
  cr_expect_null(budget.addresses);
  expect_no_leak();
}

Test(budget, what_outlives_its_connection_stays_the_addresss) {
  budget = (mcp__budget_t){.max = 1000 * KIB};
  conn_t conn = join(1);
  mcp__budget_address_t *address = conn.address;
  size_t charged = 0;
  mcp__budget_charge(&address->account, &charged, 700);
  mcp__budget_hold(address);
  part(&conn);
  cr_expect_eq(budget.active, 0);
  conn_t again = join(1);
  cr_expect_eq(again.address, address);
  part(&again);
  mcp__budget_charge(&address->account, &charged, 0);
  mcp__budget_release(&budget, address);
  cr_expect_null(budget.addresses);
  expect_no_leak();
}

Test(budget, room) {
  budget = (mcp__budget_t){.max = 1000};
  conn_t conn = join(1);
  hold(&conn, 400);
  cr_expect(mcp__budget_has(&budget, 600));
  cr_expect_not(mcp__budget_has(&budget, 601));
  cr_expect_not(mcp__budget_has(&budget, SIZE_MAX));
  hold(&conn, 1000);
  cr_expect(mcp__budget_has(&budget, 0));
  hold(&conn, 1001);
  cr_expect_not(mcp__budget_has(&budget, 0));
  part(&conn);
  expect_no_leak();
}

/* Below a quarter of the maximum no share applies. */
Test(budget, shares) {
  budget = (mcp__budget_t){.max = 4000 * KIB};
  conn_t alone = join(1);
  hold(&alone, 1000 * KIB);
  cr_expect_not(is_over(&alone));
  hold(&alone, 1000 * KIB + 1);
  cr_expect(is_over(&alone));
  conn_t many[5];
  for (int i = 0; i < 5; i++)
    many[i] = join(2);
  hold(&many[0], 100 * KIB);
  cr_expect_not(is_over(&many[0]), "a half for each address, of that a fifth for each connection");
  hold(&many[0], 100 * KIB + 1);
  cr_expect(is_over(&many[0]));
  hold(&alone, 500 * KIB);
  cr_expect_not(is_over(&many[0]), "there is enough");
  for (int i = 0; i < 5; i++)
    part(&many[i]);
  part(&alone);
  expect_no_leak();
}

Test(budget, who_gives_way) {
  budget = (mcp__budget_t){.max = 1000 * KIB};
  conn_t large = join(1), small = join(1), other = join(2);
  hold(&large, 700);
  hold(&small, 200);
  hold(&other, 300);
  cr_expect(mcp__budget_outweighs(&large.account, &small.account, 149));
  cr_expect_not(mcp__budget_outweighs(&large.account, &small.account, 150), "it would hold a half of that");
  cr_expect_not(mcp__budget_outweighs(&small.account, &large.account, 0));
  cr_expect(mcp__budget_outweighs(&small.account, &other.account, 149), "its address holds 900");
  cr_expect_not(mcp__budget_outweighs(&small.account, &other.account, 150));
  cr_expect_not(mcp__budget_outweighs(&other.account, &small.account, 0));
  part(&large);
  part(&small);
  part(&other);
  expect_no_leak();
}
