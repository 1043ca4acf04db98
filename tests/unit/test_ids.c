/* test_ids.c: which ids are the same, and that their hashes are. */
#include "mcp/ids.h"

#include <criterion/criterion.h>
#include <string.h>

static void expect(const char *a, const char *b, bool same) {
  size_t a_len = strlen(a), b_len = strlen(b);
  cr_expect_eq(mcp__id_same(a, a_len, b, b_len), same, "%s and %s", a, b);
  cr_expect_eq(mcp__id_same(b, b_len, a, a_len), same, "%s and %s", b, a);
  cr_expect(!same || mcp__id_hash(a, a_len) == mcp__id_hash(b, b_len), "hashes of %s and %s", a, b);
}

Test(ids, of_the_same_value) {
  static const char *const rows[][2] = {
      {"100", "1e2"},
      {"100", "100.0"},
      {"100", "1E+2"},
      {"100", "1000e-1"},
      {"100", "0.1e3"},
      {"1e2", "10.00e1"},
      {"0", "-0"},
      {"0", "0.0"},
      {"0", "-0.0e5"},
      {"0", "0e-400"},
      {"-1.5", "-15e-1"},
      {"0.001", "1e-3"},
      {"1.50", "1.5"},
      {"1e400", "10e399"},
      {"\"a\"", "\"a\""},
      {"9007199254740993", "9007199254740993.0"},
      {"120", "12e1"},
      {"0.0120", "12e-3"},
      {"10203", "102.03e2"},
      {"1e-2", "0.01"},
      {"123456789012345678901234567890", "12345678901234567890123456789e1"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    expect(rows[i][0], rows[i][1], true);
}

Test(ids, of_different_values) {
  static const char *const rows[][2] = {
      {"1", "\"1\""},
      {"1", "-1"},
      {"1", "10"},
      {"1", "1.5"},
      {"1.5", "15"},
      {"\"\"", "0"},
      {"null", "0"},
      {"0", "1"},
      {"12", "1.2"},
      {"\"a\"", "\"A\""},
      {"102", "12"},
      {"1e400", "1e401"},
      {"1e400", "0"},
      {"\"1e2\"", "\"100\""},
      {"0.1", "0.10000000000000001"},
      {"9007199254740993", "9007199254740992"},
      {"123456789012345678901234567890", "123456789012345678901234567891"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    expect(rows[i][0], rows[i][1], false);
}

Test(ids, as_numbers) {
  static const struct {
    const char *id;
    uint64_t number;
    bool fine;
  } rows[] = {
      {"0", 0, true},
      {"-0", 0, true},
      {"1", 1, true},
      {"1.0", 1, true},
      {"20e-1", 2, true},
      {"1e3", 1000, true},
      {"1.5e3", 1500, true},
      {"18446744073709551615", UINT64_MAX, true},
      {"18446744073709551616", 0, false},
      {"1e19", UINT64_C(10000000000000000000), true},
      {"2e19", 0, false},
      {"1e20", 0, false},
      {"-1", 0, false},
      {"1.5", 0, false},
      {"\"1\"", 0, false},
      {"null", 0, false},
      {"", 0, false},
      {"1e-1", 0, false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    uint64_t number = 0;
    cr_expect_eq(mcp__id_number(rows[i].id, strlen(rows[i].id), &number), rows[i].fine, "%s", rows[i].id);
    cr_expect_eq(number, rows[i].number, "%s", rows[i].id);
  }
}
