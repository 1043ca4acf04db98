/* test_entry.c: making, normalizing and redacting entries, dead letters, and the states of the entries of a
 * batch. */
#include "batch.h"
#include "entry.h"
#include "leaks.h"

#include <criterion/criterion.h>
#include <iccm_service.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define V7 "01890a5d-ac96-774b-bcce-b302099a8057" /* 2023-06-30T05:18:50.198Z */
#define V4 "919108f7-52d1-4320-9bac-f847db4148a8"
#define INSTANCE "018f0000-0000-7000-8000-000000000001"
#define NOW_US INT64_C(1700000000123456) /* 2023-11-14T22:13:20.123456Z */

/* ---- From a call ---- */

static yyjson_doc *parse(const char *json) {
  yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
  cr_assert_not_null(doc, "%s", json);
  return doc;
}

static size_t redacted; /* members redacted in the entry made or normalized last */

/* Returns the entry made of arguments, or NULL if it was refused, with the reason. */
static yyjson_doc *make(const char *args, const char *trace_id, char reason[ENTRY_REASON_SIZE]) {
  yyjson_doc *doc = parse(args), *made;
  size_t len;
  char *text = entry_new(yyjson_doc_get_root(doc), trace_id, NOW_US, &len, &redacted, reason);
  yyjson_doc_free(doc);
  if (text == NULL)
    return NULL;
  made = parse(text);
  free(text);
  return made;
}

static const char *text_of(yyjson_doc *doc, const char *name) {
  return yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), name));
}

static yyjson_val *data_of(yyjson_doc *doc) {
  return yyjson_obj_get(yyjson_doc_get_root(doc), "data");
}

static void expect_refused(const char *args, const char *why) {
  char reason[ENTRY_REASON_SIZE] = "";
  cr_assert_null(make(args, NULL, reason), "%s", args);
  cr_assert_str_eq(reason, why);
}

Test(made, gets_id_time_and_level) {
  char reason[ENTRY_REASON_SIZE];
  char id[MCP_UUID_SIZE];
  yyjson_doc *entry =
      make("{\"component\":\"c\",\"level\":\"warn\",\"message\":\"m\",\"trace_id\":null,\"data\":null}", "t",
           reason);
  cr_assert_eq(mcp_uuid_parse(text_of(entry, "id"), strlen(text_of(entry, "id")), id), 0);
  cr_assert_str_eq(text_of(entry, "created_at"), "2023-11-14T22:13:20.123456Z");
  cr_assert_str_eq(text_of(entry, "level"), "WARN");
  cr_assert_str_eq(text_of(entry, "trace_id"), "t", "the request's");
  cr_assert(yyjson_is_null(data_of(entry)));
  yyjson_doc_free(entry);
  expect_no_leak();
}

Test(made, keeps_the_key_that_it_was_given) {
  char reason[ENTRY_REASON_SIZE];
  yyjson_doc *entry =
      make("{\"component\":\"c\",\"level\":\"INFO\",\"message\":\"m\",\"trace_id\":\"own\",\"id\":\"" V4
           "\",\"created_at\":\"2024-02-29 10:00:00+02:00\",\"data\":{\"a\":[1,{}]}}",
           "t", reason);
  cr_assert_str_eq(text_of(entry, "id"), V4);
  cr_assert_str_eq(text_of(entry, "created_at"), "2024-02-29T08:00:00.000000Z");
  cr_assert_str_eq(text_of(entry, "trace_id"), "own");
  cr_assert_eq(yyjson_arr_size(yyjson_obj_get(data_of(entry), "a")), 2);
  yyjson_doc_free(entry);
  expect_no_leak();
}

Test(made, takes_the_time_inside_of_an_id) {
  char reason[ENTRY_REASON_SIZE];
  yyjson_doc *entry =
      make("{\"component\":\"c\",\"level\":\"INFO\",\"message\":\"m\",\"id\":\"" V7 "\"}", NULL, reason);
  cr_assert_eq(strncmp(text_of(entry, "created_at"), "2023-06-", 8), 0, "%s", text_of(entry, "created_at"));
  yyjson_doc_free(entry);
  expect_refused("{\"component\":\"c\",\"level\":\"INFO\",\"message\":\"m\",\"id\":\"" V4 "\"}",
                 "an id that is not a UUID of version 7 needs created_at");
  expect_no_leak();
}

Test(made, refuses_what_the_store_would_refuse) {
  char args[512], trace[131];
  memset(trace, 't', 129);
  trace[129] = '\0';
  snprintf(args, sizeof args,
           "{\"component\":\"c\",\"level\":\"INFO\",\"message\":\"m\",\"trace_id\":\"%s\"}", trace);
  expect_refused(args, "trace_id has more than 128 bytes");
  expect_refused("{\"component\":\"c\",\"level\":\"FATAL\",\"message\":\"m\"}",
                 "level is none of TRACE, DEBUG, INFO, WARN, ERROR");
  expect_refused("{\"component\":\"c\",\"level\":\"INFO\\u0000\",\"message\":\"m\"}",
                 "level is none of TRACE, DEBUG, INFO, WARN, ERROR");
  expect_refused("{\"component\":\"c\",\"level\":\"INFO\",\"message\":\"m\",\"id\":\"17\"}",
                 "id is not a UUID");
  expect_refused(
      "{\"component\":\"c\",\"level\":\"INFO\",\"message\":\"m\",\"created_at\":\"2024-01-01T00:00:00.%fZ\"}",
      "created_at is not " MCP_TIME_FORM);
  expect_refused("{\"component\":\"c\",\"level\":\"INFO\",\"message\":\"m\",\"id\":\"" V7
                 "\",\"created_at\":\"\"}",
                 "created_at is not " MCP_TIME_FORM);
  expect_no_leak();
}

/* One byte beyond the size limit is refused, and one level beyond the depth limit. */
Test(made, has_bounds_in_size_and_depth) {
  char reason[ENTRY_REASON_SIZE];
  static char args[ENTRY_MAX_BYTES + 128];
  for (size_t extra = 0; extra < 2; extra++) {
    yyjson_doc *entry;
    size_t fits = ENTRY_MAX_BYTES - 4 - 1 - 2; /* data is null, component c, trace_id null */
    int head = sprintf(args, "{\"component\":\"c\",\"level\":\"INFO\",\"message\":\"");
    memset(args + head, 'x', fits + extra);
    strcpy(args + head + fits + extra, "\"}");
    entry = make(args, NULL, reason);
    cr_assert_eq(entry == NULL, extra == 1, "%zu", extra);
    yyjson_doc_free(entry);
  }
  for (int depth = ENTRY_MAX_DEPTH - 1; depth <= ENTRY_MAX_DEPTH; depth++) {
    char deep[512] = "{\"component\":\"c\",\"level\":\"INFO\",\"message\":\"m\",\"data\":";
    yyjson_doc *entry;
    for (int i = 0; i < depth; i++)
      strcat(deep, i == 0 ? "{\"a\":" : "[");
    strcat(deep, "1");
    for (int i = 0; i < depth; i++)
      strcat(deep, i == depth - 1 ? "}" : "]");
    strcat(deep, "}");
    entry = make(deep, NULL, reason);
    cr_assert_eq(entry == NULL, depth == ENTRY_MAX_DEPTH, "%d", depth);
    yyjson_doc_free(entry);
  }
  expect_no_leak();
}

static void expect_at(yyjson_doc *doc, const char *pointer, const char *wanted) {
  yyjson_val *value = yyjson_doc_ptr_get(doc, pointer);
  cr_expect(yyjson_equals_str(value, wanted), "%s is %s", pointer, yyjson_get_str(value));
}

Test(made, holds_no_secrets) {
  char reason[ENTRY_REASON_SIZE];
  yyjson_doc *entry =
      make("{\"component\":\"c\",\"level\":\"INFO\",\"message\":\"password=hunter2\",\"data\":{"
           "\"user\":{\"dbPassword\":\"hunter2\",\"name\":\"n\"},\"list\":[{\"API-key\":[1,2]}],"
           "\"token\":\"[REDACTED]\",\"tokens\":\"3\"}}",
           NULL, reason);
  cr_assert_eq(redacted, 2, "%zu", redacted);
  expect_at(entry, "/message", "password=hunter2"); /* strings are not redacted */
  expect_at(entry, "/data/user/dbPassword", "[REDACTED]");
  expect_at(entry, "/data/user/name", "n");
  expect_at(entry, "/data/list/0/API-key", "[REDACTED]");
  expect_at(entry, "/data/tokens", "3");
  yyjson_doc_free(entry);
  expect_no_leak();
}

/* ---- From the queue ---- */

static yyjson_doc *normalize(const char *text, size_t index, char reason[ENTRY_REASON_SIZE]) {
  const entry_origin_t origin = {INSTANCE, "7", index, NOW_US};
  size_t len;
  char *out = entry_normalize(text, strlen(text), &origin, &len, &redacted, reason);
  yyjson_doc *doc = out == NULL ? NULL : yyjson_read(out, len, 0);
  free(out);
  return doc;
}

Test(adopted, stays_as_it_is_where_it_is_in_order) {
  static const char text[] =
      "{ \"message\":\"m\",\"id\":\"" V4 "\", \"created_at\":\"2024-01-01\",\"level\":\"INFO\" }";
  const entry_origin_t origin = {INSTANCE, "7", 0, NOW_US};
  char reason[ENTRY_REASON_SIZE];
  size_t len;
  char *out = entry_normalize(text, sizeof text - 1, &origin, &len, &redacted, reason);
  cr_assert_str_eq(out, text);
  cr_assert_eq(len, sizeof text - 1);
  free(out);
  expect_no_leak();
}

Test(adopted, gets_the_same_id_each_time) {
  static const char text[] = "{\"component\":\"c\",\"level\":\"info\",\"message\":\"m\"}";
  char reason[ENTRY_REASON_SIZE];
  yyjson_doc *first = normalize(text, 3, reason), *again = normalize(text, 3, reason),
             *other = normalize(text, 4, reason);
  cr_assert_str_eq(text_of(first, "id"), text_of(again, "id"));
  cr_assert_str_neq(text_of(first, "id"), text_of(other, "id"));
  cr_assert_str_eq(text_of(first, "created_at"), "2023-11-14T22:13:20.123456Z", "when it was claimed first");
  cr_assert_str_eq(text_of(first, "level"), "INFO");
  yyjson_doc_free(first);
  yyjson_doc_free(again);
  yyjson_doc_free(other);
  expect_no_leak();
}

Test(adopted, keeps_what_had_to_be_replaced) {
  char reason[ENTRY_REASON_SIZE];
  yyjson_doc *entry =
      normalize("{\"id\":17,\"created_at\":\"2024-01-01T00:00:00.%fZ\",\"data\":[1]}", 0, reason);
  cr_assert_eq(yyjson_get_int(yyjson_obj_get(data_of(entry), "original_id")), 17);
  cr_assert(
      yyjson_equals_str(yyjson_obj_get(data_of(entry), "original_created_at"), "2024-01-01T00:00:00.%fZ"));
  cr_assert_eq(yyjson_arr_size(yyjson_obj_get(data_of(entry), "data")), 1);
  yyjson_doc_free(entry);
  expect_no_leak();
}

Test(adopted, keeps_what_the_store_does_not_know_in_data) {
  static const char *const rows[][2] = {
      {"\"host\":\"h\",\"pid\":7", "{\"original_members\":{\"host\":\"h\",\"pid\":7}}"},
      {"\"host\":[{}],\"data\":{\"a\":1}", "{\"a\":1,\"original_members\":{\"host\":[{}]}}"},
      {"\"a\":1,\"a\":2,\"data\":[1]", "{\"data\":[1],\"original_members\":{\"a\":1,\"a\":2}}"},
      {"\"created_at\":\"x\",\"a\\u0000b\":1",
       "{\"original_created_at\":\"x\",\"original_members\":{\"a\\u0000b\":1}}"},
      {"\"trace_id\":null,\"godot_drops\":[1,2]", NULL},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char text[300], reason[ENTRY_REASON_SIZE];
    snprintf(text, sizeof text,
             "{\"id\":\"" V4 "\",\"component\":\"c\",\"level\":\"INFO\",\"message\":\"m\",%s%s}", rows[i][0],
             strstr(rows[i][0], "created_at") != NULL ? "" : ",\"created_at\":\"2024-01-01\"");
    yyjson_doc *entry = normalize(text, 0, reason);
    char *data = yyjson_val_write(data_of(entry), 0, NULL);
    cr_expect(rows[i][1] == NULL ? data == NULL : strcmp(data, rows[i][1]) == 0, "%s: %s", text, data);
    cr_expect_eq(yyjson_obj_size(yyjson_doc_get_root(entry)), rows[i][1] == NULL ? 7u : 6u, "%s", text);
    free(data);
    yyjson_doc_free(entry);
  }
  expect_no_leak();
}

Test(adopted, holds_no_secrets) {
  static const char *const texts[] = {
      ("{\"id\":\"" V4 "\",\"created_at\":\"2024-01-01\",\"level\":\"INFO\",\"message\":\"token=1\","
       "\"secret\":\"hunter2\",\"data\":{\"a\":[{\"token\":1e400}]}}"),
      "{\"message\":\"token=1\",\"secret\":{\"b\":1},\"data\":{\"a\":[{\"token\":null}]}}",
      ("{\"id\":{\"token\":1},\"message\":\"token=1\",\"secret\":1,\"data\":{\"a\":[{\"token\":\"[REDACTED]"
       "\"}"
       "]}}")};
  char reason[ENTRY_REASON_SIZE];
  for (size_t i = 0; i < 3; i++) {
    yyjson_doc *entry = normalize(texts[i], 0, reason);
    cr_assert_eq(redacted, 2, "%zu", redacted);
    expect_at(entry, "/message", "token=1");
    expect_at(entry, "/data/original_members/secret", "[REDACTED]");
    expect_at(entry, "/data/a/0/token", "[REDACTED]");
    if (i == 2)
      expect_at(entry, "/data/original_id/token", "[REDACTED]");
    yyjson_doc_free(entry);
  }
  expect_no_leak();
}

Test(adopted, refuses_what_is_no_entry) {
  static const char *const texts[] = {"",  "x",        "{\"a\":",          "[1]",
                                      "1", "\"text\"", "{\"a\":\"\xff\"}", "{\"a\":NaN}"};
  char reason[ENTRY_REASON_SIZE], deep[1200] = "{\"a\":";
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    cr_assert_null(normalize(texts[i], 0, reason), "%s", texts[i]);
  for (int i = 0; i < 500; i++)
    strcat(deep, "[");
  for (int i = 0; i < 500; i++)
    strcat(deep, "]");
  strcat(deep, "}");
  cr_assert_null(normalize(deep, 0, reason));
  cr_assert_str_eq(reason, "nested deeper than 64 levels");
  strcpy(deep, "{\"a\":");
  for (int i = 0; i < 60; i++)
    strcat(deep, "[");
  for (int i = 0; i < 60; i++)
    strcat(deep, "]");
  strcat(deep, "}");
  cr_assert_null(normalize(deep, 0, reason));
  cr_assert_str_eq(reason, "nested deeper than 56 levels");
  expect_no_leak();
}

Test(letter, holds_the_entry_whatever_it_is) {
  static const char *const texts[] = {"{\"a\":1}", "plain \" text", "\xff\xfe"};
  for (size_t i = 0; i < 3; i++) {
    size_t len;
    char *text = entry_dead_letter(texts[i], strlen(texts[i]), "because", NOW_US, &len);
    yyjson_doc *letter = parse(text);
    cr_assert_str_eq(text_of(letter, "reason"), "because");
    if (i < 2)
      cr_assert_str_eq(text_of(letter, "entry"), texts[i]);
    else
      cr_assert_str_eq(text_of(letter, "entry_base64"), "//4=");
    yyjson_doc_free(letter);
    free(text);
  }
  expect_no_leak();
}

/* An entry that cannot be normalized becomes a dead letter; its secrets are redacted if it is JSON. */
Test(letter, holds_no_secrets) {
  static const char list[] = "[{\"token\":\"hunter2\"}]";
  char deep[256] = "{\"password\":\"hunter2\",\"a\":";
  mcp_text_t entries[2] = {{list, sizeof list - 1}};
  batch_ack_t ack;
  batch_t batch;
  for (int i = 0; i < ENTRY_MAX_DEPTH; i++)
    strcat(deep, "[");
  for (int i = 0; i < ENTRY_MAX_DEPTH; i++)
    strcat(deep, "]");
  strcat(deep, "}");
  entries[1] = (mcp_text_t){deep, strlen(deep)};
  cr_assert_eq(
      batch_init(&batch,
                 &(queue_batch_t){.number = "7", .instance = INSTANCE, .entries = entries, .count = 2}),
      0);
  cr_assert_eq(batch_make_ack(&batch, &ack), 0);
  cr_assert_eq(ack.queue_ack.dead_count, 2);
  cr_assert_eq(ack.queue_ack.redacted, 2);
  for (int i = 0; i < 2; i++) {
    const char *letter = ack.queue_ack.dead[i].ptr;
    cr_expect(strstr(letter, "hunter2") == NULL && strstr(letter, "[REDACTED]") != NULL, "%s", letter);
  }
  batch_ack_deinit(&ack);
  batch_deinit(&batch);
  expect_no_leak();
}

/* In text that is not JSON, secrets are redacted as far as their names are recognized. */
Test(letter, holds_no_secrets_where_it_is_no_json) {
  static const char *const texts[][2] = {
      {"{\"message\":\"caf\\udce9\",\"data\":{\"token\":\"hunter2\"}}",
       "{\"message\":\"caf\\udce9\",\"data\":{\"token\":[REDACTED]}}"},
      {"{\"x\":NaN,\"Api-Key\": \"a\\\"hunter2\", \"b\":1}", "{\"x\":NaN,\"Api-Key\": [REDACTED], \"b\":1}"},
      {"{'db_password': 'hunter2', 'b': 1}", "{'db_password': [REDACTED], 'b': 1}"},
      {"{\"b\":1,\"secret\":\"hunt", "{\"b\":1,\"secret\":[REDACTED]"},
      {"{\"inner\":\"{\\\"token\\\":\\\"hunter2\\\",\\\"c\\\":2}\",\xff",
       "{\"inner\":\"{\\\"token\\\":[REDACTED],\\\"c\\\":2}\",\xff"},
      {"{\"secret\":{\"a\":\"}\",\"b\":[\"hunter2\"]},\"c\":3,}", "{\"secret\":[REDACTED],\"c\":3,}"},
      {"GET /?token=hunter2&a=b x", "GET /?token=[REDACTED]&a=b x"},
      {"Authorization: Bearer hunter2\nHost: x", "Authorization: [REDACTED]\nHost: x"},
      {"secret", "secret"},
      {"token: ", "token: "},
      {"the token was taken, as a:b says", "the token was taken, as a:b says"},
      {"", ""},
  };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    size_t len, count = 0;
    char *text = entry_redact(texts[i][0], strlen(texts[i][0]), &len, &count);
    cr_expect_str_eq(text, texts[i][1]);
    cr_expect_eq(len, strlen(texts[i][1]));
    cr_expect_eq(count, strstr(texts[i][1], "[REDACTED]") != NULL);
    free(text);
  }
  expect_no_leak();
}

Test(letter, is_bounded) {
  size_t len, big = ENTRY_MAX_BYTES + 1;
  static char entry[ENTRY_MAX_BYTES + 1];
  char *text;
  yyjson_doc *letter;
  memset(entry, 'x', big);
  text = entry_dead_letter(entry, big, "because", NOW_US, &len);
  letter = parse(text);
  cr_assert_eq(strlen(text_of(letter, "entry")), ENTRY_MAX_BYTES);
  cr_assert_eq(yyjson_get_uint(yyjson_obj_get(yyjson_doc_get_root(letter), "cut_from")), big);
  yyjson_doc_free(letter);
  free(text);
  expect_no_leak();
}

/* ---- Batches ---- */

enum { MAX_ENTRIES = 16 };

/* Makes a batch of entries with messages 0 (the oldest) to count - 1. "!" in broken: that entry is not JSON.
 */
static void init_batch(batch_t *batch, size_t count, const char *broken) {
  static char texts[MAX_ENTRIES][64];
  static mcp_text_t entries[MAX_ENTRIES];
  queue_batch_t from = {
      .number = "7", .claimed_us = NOW_US, .instance = INSTANCE, .entries = entries, .count = count};
  for (size_t i = 0; i < count; i++) {
    size_t index = count - 1 - i;
    snprintf(texts[index], sizeof texts[index], broken[i] == '!' ? "!%zu" : "{\"message\":\"%zu\"}", i);
    entries[index] = (mcp_text_t){texts[index], strlen(texts[index])};
  }
  cr_assert_eq(batch_init(batch, &from), 0);
}

/* Returns the messages of the next request, concatenated: "0123". */
static const char *request(batch_t *batch) {
  static char messages[MAX_ENTRIES + 1];
  yyjson_mut_doc *args = batch_request(batch);
  size_t len, i, count;
  char *text = yyjson_mut_write(args, 0, &len);
  yyjson_doc *doc = parse(text);
  yyjson_val *logs = yyjson_obj_get(yyjson_doc_get_root(doc), "logs"), *entry;
  memset(messages, 0, sizeof messages);
  yyjson_arr_foreach(logs, i, count, entry)
      strcat(messages, yyjson_get_str(yyjson_obj_get(entry, "message")));
  yyjson_doc_free(doc);
  free(text);
  yyjson_mut_doc_free(args);
  return messages;
}

static void accept_request(batch_t *batch, const char *answer) {
  yyjson_doc *doc = parse(answer);
  batch_stored(batch, yyjson_doc_get_root(doc));
  yyjson_doc_free(doc);
}

/* Expects a finished batch with this number of dead letters, and returned entries with these messages, newest
 * first. */
static void expect_ack(batch_t *batch, size_t dead, const char *back) {
  batch_ack_t ack;
  cr_assert(batch_finished(batch));
  cr_assert_null(batch_request(batch));
  cr_assert_eq(batch_make_ack(batch, &ack), 0);
  cr_assert_eq(ack.queue_ack.dead_count, dead);
  cr_assert_eq(ack.queue_ack.returned_count, strlen(back));
  for (size_t i = 0; back[i] != '\0'; i++) {
    char wanted[32];
    snprintf(wanted, sizeof wanted, "{\"message\":\"%c\",\"id\":", back[i]);
    cr_assert_eq(strncmp(ack.queue_ack.returned[i].ptr, wanted, strlen(wanted)), 0,
                 "it keeps the id it was given");
  }
  batch_ack_deinit(&ack);
  batch_deinit(batch);
  expect_no_leak();
}

Test(batch, all_stored) {
  batch_t batch;
  init_batch(&batch, 3, "   ");
  cr_assert_str_eq(request(&batch), "012", "the oldest first");
  accept_request(&batch, "{\"status\":\"ok\",\"inserted_count\":3,\"duplicates\":0,\"rejected\":[]}");
  expect_ack(&batch, 0, "");
}

Test(batch, rejections_count_positions_in_the_request) {
  batch_t batch;
  init_batch(&batch, 4, "!   ");
  cr_assert_str_eq(request(&batch), "123");
  accept_request(
      &batch,
      "{\"rejected\":[{\"index\":1,\"reason\":\"why\"},{\"index\":2},{\"index\":9},{\"index\":-1},7]}");
  expect_ack(&batch, 3, "");
}

Test(batch, nothing_to_send) {
  batch_t batch;
  init_batch(&batch, 2, "!!");
  expect_ack(&batch, 2, "");
}

Test(batch, refused_for_good_is_halved_until_the_culprit_is_alone) {
  batch_t batch;
  init_batch(&batch, 5, "     ");
  while (!batch_finished(&batch)) {
    if (strchr(request(&batch), '3') != NULL)
      batch_refused(&batch, "no", true);
    else
      accept_request(&batch, "{}");
  }
  expect_ack(&batch, 1, "");
}

/* Refuses the first requests, and those with the culprit; accepts all others. */
static void run_fake_store(batch_t *batch, int refusals, const char *culprit) {
  while (!batch_finished(batch)) {
    if (refusals-- > 0 || strstr(request(batch), culprit) != NULL)
      batch_refused(batch, "no", false);
    else
      accept_request(batch, "{}");
  }
}

Test(batch, a_store_that_recovers_on_the_way_condemns_nobody) {
  for (int refusals = 1; refusals < 15; refusals++) {
    batch_t batch;
    init_batch(&batch, 8, "        ");
    run_fake_store(&batch, refusals, "none");
    expect_ack(&batch, 0, "");
  }
}

Test(batch, a_culprit_is_found_wherever_it_stands) {
  for (char culprit = '0'; culprit < '8'; culprit++) {
    const char message[] = {culprit, '\0'};
    batch_t batch;
    init_batch(&batch, 8, "        ");
    run_fake_store(&batch, 0, message);
    expect_ack(&batch, 1, "");
  }
}

Test(batch, without_a_witness_it_goes_back) {
  batch_t batch;
  init_batch(&batch, 1, " ");
  run_fake_store(&batch, 0, "0");
  expect_ack(&batch, 0, "0");
}

Test(batch, a_witness_that_is_refused_proves_nothing) {
  batch_t batch;
  init_batch(&batch, 2, "  ");
  batch_refused(&batch, "no", false);
  batch_refused(&batch, "no", false);
  accept_request(&batch, "{}");
  cr_assert_str_eq(request(&batch), "0", "the suspect, once more");
  batch_refused(&batch, "no", false);
  cr_assert_str_eq(request(&batch), "1", "a stored entry");
  batch_refused(&batch, "no", false);
  expect_ack(&batch, 0, "10");
}

Test(batch, a_store_that_is_ill_condemns_nobody) {
  batch_t batch;
  init_batch(&batch, 4, "    ");
  while (!batch_finished(&batch))
    batch_refused(&batch, "no", false);
  expect_ack(&batch, 0, "3210");
}

Test(batch, pushed_out_entries_are_not_sent) {
  batch_t batch;
  init_batch(&batch, 4, "!   ");
  batch_keep_newest(&batch, 2);
  cr_assert_str_eq(request(&batch), "23");
  accept_request(&batch, "{}");
  expect_ack(&batch, 0, "");
}
