/* The list of what waits: found by id, oldest first, counted. */
#include <string.h>
#include "cli_test.h"
#include "bridge_pending.h"

static waiting_t *add(waiting_list_t *list, const char *id, const char *text) {
  waiting_t *waiting = waiting_add(list, id, strlen(id), 0);
  if (text != NULL)
    waiting_keep_text(list, waiting, text, strlen(text));
  return waiting;
}

static waiting_t *find(const waiting_list_t *list, const char *id) {
  return waiting_find(list, id, strlen(id));
}

Test(waiting, by_id) {
  waiting_list_t list = {0};
  waiting_t *one = add(&list, "1", NULL), *text = add(&list, "\"1\"", NULL), *two = add(&list, "12", NULL);
  cr_expect_eq(find(&list, "1"), one);
  cr_expect_eq(find(&list, "\"1\""), text);
  cr_expect_eq(find(&list, "12"), two);
  cr_expect_eq(find(&list, "1.2e1"), two);
  cr_expect_null(find(&list, "2"));
  waiting_remove(&list, text);
  cr_expect_null(find(&list, "\"1\""));
  cr_expect(list.first == one && one->next == two && two->prev == one && list.last == two);
  waiting_remove(&list, one);
  waiting_remove(&list, two);
  cr_expect(list.first == NULL && list.last == NULL && list.count == 0);
  assert_no_leaks();
}

Test(waiting, counts) {
  waiting_list_t list = {0};
  waiting_t *one = add(&list, "1", "abc");
  add(&list, "", "de");
  add(&list, "2", NULL);
  cr_expect(list.count == 3 && list.bytes == 5);
  waiting_drop_text(&list, one);
  cr_expect(list.count == 3 && list.bytes == 2);
  cr_expect_null(one->text);
  cr_expect_eq(find(&list, "1"), one);
  waiting_clear(&list);
  cr_expect(list.count == 0 && list.bytes == 0);
  assert_no_leaks();
}
