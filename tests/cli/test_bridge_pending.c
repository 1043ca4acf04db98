/* bridge_pending: lookup by id, order and counters. */
#include <string.h>
#include "cli_test.h"
#include "bridge_pending.h"

static bridge_pending_t *add(bridge_pending_list_t *list, const char *id, const char *text) {
  bridge_pending_t *pending = bridge_pending_add(list, id, strlen(id), 0);
  if (text != NULL)
    bridge_pending_keep_text(list, pending, text, strlen(text));
  return pending;
}

static bridge_pending_t *find(const bridge_pending_list_t *list, const char *id) {
  return bridge_pending_find(list, id, strlen(id));
}

Test(bridge_pending, by_id) {
  bridge_pending_list_t list = {0};
  bridge_pending_t *one = add(&list, "1", NULL), *text = add(&list, "\"1\"", NULL),
                   *two = add(&list, "12", NULL);
  cr_expect_eq(find(&list, "1"), one);
  cr_expect_eq(find(&list, "\"1\""), text);
  cr_expect_eq(find(&list, "12"), two);
  cr_expect_eq(find(&list, "1.2e1"), two);
  cr_expect_null(find(&list, "2"));
  bridge_pending_remove(&list, text);
  cr_expect_null(find(&list, "\"1\""));
  cr_expect(list.first == one && one->next == two && two->prev == one && list.last == two);
  bridge_pending_remove(&list, one);
  bridge_pending_remove(&list, two);
  cr_expect(list.first == NULL && list.last == NULL && list.count == 0);
  assert_no_leaks();
}

Test(bridge_pending, counts) {
  bridge_pending_list_t list = {0};
  bridge_pending_t *one = add(&list, "1", "abc");
  add(&list, "", "de");
  add(&list, "2", NULL);
  cr_expect(list.count == 3 && list.bytes == 5);
  bridge_pending_drop_text(&list, one);
  cr_expect(list.count == 3 && list.bytes == 2);
  cr_expect_null(one->text);
  cr_expect_eq(find(&list, "1"), one);
  bridge_pending_clear(&list);
  cr_expect(list.count == 0 && list.bytes == 0);
  assert_no_leaks();
}
