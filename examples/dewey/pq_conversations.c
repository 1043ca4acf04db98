/* pq_conversations.c: conversations in PostgreSQL.
 *
 * Writing: one transaction for the whole, with the conversation's row locked, so that turns are given to one
 * writer at a time; messages go in groups, each of them one statement. Reading: one snapshot.
 *
 * Failures: whatever goes wrong rolls the transaction back, also that a conversation is not there, a turn is
 * taken, or the source says no. */
#include "pq_words.h"

#include <stdio.h>

enum { GROUP_MESSAGES = 500, GROUP_BYTES = 1024 * 1024 };

static const char no_conversation[] = "there is no such conversation";
static const char begin_snapshot[] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

static void end_reading(pq_store_t *self, pq_conn_t *conn, int *code, store_error_t *error) {
  if (*code == STORE_OK)
    *code = pq_command(conn, "COMMIT", "ending to read", error);
  pq_give(&self->pools.readers, conn);
}

/* ---- Storing ---- */

enum { IDS, TURNS, ROLES, CONTENTS, METADATA, TIMES, COLUMNS };

/* Messages on their way. */
typedef struct group {
  pq_columns_t columns;
  size_t count, bytes;
} group_t;

static void group_init(group_t *group) {
  static const enum pq_type types[COLUMNS] = {PQ_UUID, PQ_INT, PQ_INT, PQ_TEXT, PQ_TEXT, PQ_TIME};
  pq_columns_init(&group->columns, types, COLUMNS);
  group->count = group->bytes = 0;
}

static void group_add(group_t *group, const message_t *message) {
  pq_array_t *arrays = group->columns.arrays;
  pq_append_id(&arrays[IDS], message->id);
  pq_append_int(&arrays[TURNS], message->turn);
  pq_append_int(&arrays[ROLES], message->role);
  pq_append_text(&arrays[CONTENTS], message->content);
  pq_append_text(&arrays[METADATA], message->metadata);
  pq_append_time(&arrays[TIMES], message->created_at);
  group->count++;
  group->bytes += message->content.len + message->metadata.len;
}

static int group_store(pq_conn_t *conn, const char *id, group_t *group, store_error_t *error) {
  pq_params_t params = {.count = 0};
  int64_t stored = 0;
  if (group->count == 0)
    return STORE_OK;
  pq_add_id(&params, id);
  if (!pq_add_columns(&params, &group->columns))
    return pq_no_memory(conn, error);
  int code = pq_each(conn, PQ_MESSAGES_INSERT, &params, NULL, NULL, &stored, "storing messages", error);
  if (code == STORE_OK && stored != (int64_t)group->count)
    return pq_roll_back(conn, STORE_TAKEN, "the turn number is in use", error);
  pq_columns_clear(&group->columns);
  group->count = group->bytes = 0;
  return code;
}

static int store_messages(pq_conn_t *conn, const char *id, group_t *group, store_source_cb source, void *arg,
                          int64_t *turn, store_error_t *error) {
  message_t message;
  pq_params_t params = {.count = 0};
  int64_t last = 0;
  int given = 0;
  pq_add_id(&params, id);
  int code = pq_each(conn, PQ_MESSAGES_LAST_TURN, &params, pq_on_number, &last, NULL, "finding the last turn",
                     error);
  while (code == STORE_OK && (given = source(&message, arg)) > 0) {
    if (message.turn == 0)
      message.turn = last + 1;
    if (message.turn > TURN_MAX)
      return pq_roll_back(conn, STORE_TAKEN, "there is no turn number left", error);
    *turn = message.turn;
    last = message.turn > last ? message.turn : last;
    group_add(group, &message);
    if (group->count == GROUP_MESSAGES || group->bytes >= GROUP_BYTES)
      code = group_store(conn, id, group, error);
  }
  if (code == STORE_OK && given < 0)
    return pq_roll_back(conn, STORE_STOPPED, "the messages ended early", error);
  return code == STORE_OK ? group_store(conn, id, group, error) : code;
}

static int insert_conversation(pq_conn_t *conn, const conversation_t *conversation, store_error_t *error) {
  pq_params_t params = {.count = 0};
  pq_add_id(&params, conversation->id);
  pq_add_text(&params, conversation->session_id);
  pq_add_text(&params, conversation->metadata);
  pq_add_time(&params, conversation->created_at);
  pq_add_time(&params, conversation->updated_at);
  return pq_change(conn, PQ_CONVERSATION_INSERT, &params, "beginning a conversation", error);
}

static int lock_conversation(pq_conn_t *conn, const char *id, store_error_t *error) {
  pq_params_t params = {.count = 0};
  int64_t found = 0;
  pq_add_id(&params, id);
  int code = pq_each(conn, PQ_CONVERSATION_LOCK, &params, pq_on_number, &found, NULL,
                     "finding a conversation", error);
  return code == STORE_OK && found == 0 ? pq_roll_back(conn, STORE_NONE, no_conversation, error) : code;
}

static int touch(pq_conn_t *conn, const conversation_t *conversation, store_error_t *error) {
  pq_params_t params = {.count = 0};
  pq_add_id(&params, conversation->id);
  pq_add_time(&params, conversation->updated_at);
  return pq_change(conn, PQ_CONVERSATION_TOUCH, &params, "changing a conversation", error);
}

static int add(pq_conn_t *conn, const conversation_t *conversation, bool begin, store_source_cb source,
               void *arg, int64_t *last_turn, store_error_t *error) {
  int64_t turn = 0;
  int code = pq_command(conn, "BEGIN", "beginning to store", error);
  if (code == STORE_OK)
    code = begin ? insert_conversation(conn, conversation, error)
                 : lock_conversation(conn, conversation->id, error);
  if (code == STORE_OK && source != NULL) {
    group_t group;
    group_init(&group);
    code = store_messages(conn, conversation->id, &group, source, arg, &turn, error);
    pq_columns_deinit(&group.columns);
  }
  if (code == STORE_OK && !begin)
    code = touch(conn, conversation, error);
  if (code == STORE_OK)
    code = pq_command(conn, "COMMIT", "committing", error);
  if (code == STORE_OK && last_turn != NULL)
    *last_turn = turn;
  return code;
}

int pq_conversation_add(store_t *store, const conversation_t *conversation, bool begin,
                        store_source_cb source, void *arg, int64_t *last_turn, store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  int code;
  pq_conn_t *conn = pq_writer(&self->pools, STORE_NEVER, &code, error);
  if (conn == NULL)
    return code;
  code = add(conn, conversation, begin, source, arg, last_turn, error);
  return pq_done(&self->pools, conn, code, error);
}

/* ---- Reading ---- */

/* Where rows go, and what was seen of them. */
typedef struct reading {
  store_conversation_cb on_conversation;
  store_message_cb on_message;
  store_found_cb on_found;
  void *arg;
  bool found, wanted; /* a conversation was; more rows are */
} reading_t;

static enum pq_row on_conversation(const PGresult *result, void *arg) {
  reading_t *reading = arg;
  conversation_t row = {.session_id = pq_text(result, 1),
                        .metadata = pq_json(result, 2),
                        .created_at = pq_time(result, 3),
                        .updated_at = pq_time(result, 4),
                        .messages = pq_int(result, 5)};
  if (!pq_id(result, 0, row.id))
    return PQ_STRANGE;
  reading->found = true;
  reading->wanted = reading->on_conversation(&row, reading->arg);
  return reading->wanted ? PQ_TAKEN : PQ_ENOUGH;
}

static bool read_message(const PGresult *result, message_t *row) {
  *row = (message_t){.turn = pq_int(result, 1),
                     .role = (int)pq_int(result, 2),
                     .content = pq_text(result, 3),
                     .metadata = pq_json(result, 4),
                     .created_at = pq_time(result, 5)};
  return pq_id(result, 0, row->id) && row->role >= 0 && row->role < MESSAGE_ROLES;
}

static enum pq_row on_message(const PGresult *result, void *arg) {
  reading_t *reading = arg;
  message_t row;
  if (!read_message(result, &row))
    return PQ_STRANGE;
  return reading->on_message(&row, reading->arg) ? PQ_TAKEN : PQ_ENOUGH;
}

static enum pq_row on_found(const PGresult *result, void *arg) {
  reading_t *reading = arg;
  found_message_t row = {.rank = pq_double(result, 9)};
  if (!read_message(result, &row.message) || !pq_id(result, 6, row.conversation.id))
    return PQ_STRANGE;
  row.conversation.session_id = pq_text(result, 7);
  row.conversation.metadata = pq_json(result, 8);
  return reading->on_found(&row, reading->arg) ? PQ_TAKEN : PQ_ENOUGH;
}

int pq_conversation_get(store_t *store, const char *id, store_stop_t stop, store_conversation_cb cb,
                        store_message_cb message_cb, void *arg, store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  reading_t reading = {.on_conversation = cb, .on_message = message_cb, .arg = arg};
  pq_params_t params = {.count = 0};
  int code;
  pq_conn_t *conn = pq_reader(&self->pools, stop, &code, error);
  if (conn == NULL)
    return code;
  pq_add_id(&params, id);
  code = pq_command(conn, begin_snapshot, "beginning to read", error);
  if (code == STORE_OK)
    code = pq_each(conn, PQ_CONVERSATION_FETCH, &params, on_conversation, &reading, NULL,
                   "reading a conversation", error);
  if (code == STORE_OK && !reading.found)
    code = pq_roll_back(conn, STORE_NONE, no_conversation, error);
  if (code == STORE_OK && reading.wanted)
    code = pq_each(conn, PQ_MESSAGES_FETCH, &params, on_message, &reading, NULL, "reading messages", error);
  end_reading(self, conn, &code, error);
  return code;
}

int pq_conversation_list(store_t *store, const conversation_page_t *page, store_stop_t stop,
                         store_conversation_cb cb, void *arg, int64_t *total, store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  reading_t reading = {.on_conversation = cb, .arg = arg};
  pq_params_t params = {.count = 0};
  int code;
  pq_conn_t *conn = pq_reader(&self->pools, stop, &code, error);
  if (conn == NULL)
    return code;
  pq_add_text(&params, page->session_id);
  code = pq_command(conn, begin_snapshot, "beginning to list", error);
  if (code == STORE_OK)
    code = pq_each(conn, PQ_LIST_COUNT, &params, pq_on_number, total, NULL, "counting conversations", error);
  pq_add_int(&params, page->limit);
  pq_add_int(&params, page->offset);
  if (code == STORE_OK)
    code = pq_each(conn, page->by_updated ? PQ_LIST_BY_UPDATED : PQ_LIST_BY_CREATED, &params, on_conversation,
                   &reading, NULL, "listing conversations", error);
  end_reading(self, conn, &code, error);
  return code;
}

static int search(pq_conn_t *conn, const message_search_t *wanted, const pq_search_t *search,
                  reading_t *reading, int64_t *total, store_error_t *error) {
  pq_params_t params = {.count = 0};
  pq_add_text(&params, search->words);
  pq_add_time(&params, wanted->start_us);
  pq_add_time(&params, wanted->end_us);
  pq_add_text(&params, wanted->session_id);
  pq_add_text(&params, search->phrases);
  int code = pq_each(conn, search->old ? PQ_SEARCH_COUNT_OLD : PQ_SEARCH_COUNT, &params, pq_on_number, total,
                     NULL, "counting what is found", error);
  pq_add_int(&params, wanted->limit);
  pq_add_int(&params, wanted->offset);
  pq_add_text(&params, search->pieces);
  return code == STORE_OK ? pq_each(conn, search->old ? PQ_SEARCH_OLD : PQ_SEARCH, &params, on_found, reading,
                                    NULL, "searching", error)
                          : code;
}

int pq_conversation_search(store_t *store, const message_search_t *wanted, store_stop_t stop,
                           store_found_cb cb, void *arg, int64_t *total, store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  reading_t reading = {.on_found = cb, .arg = arg};
  pq_search_t words;
  int code;
  pq_conn_t *conn = pq_reader(&self->pools, stop, &code, error);
  if (conn == NULL)
    return code;
  code = pq_search_init(&words, self, conn, wanted->words, error);
  if (code == STORE_OK)
    code = pq_command(conn, begin_snapshot, "beginning to search", error);
  if (code == STORE_OK)
    code = search(conn, wanted, &words, &reading, total, error);
  pq_search_deinit(&words);
  end_reading(self, conn, &code, error);
  return code;
}

/* ---- Deleting ---- */

int pq_conversation_remove(store_t *store, const char *id, int64_t *messages, store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  pq_params_t params = {.count = 0};
  int code;
  pq_conn_t *conn = pq_writer(&self->pools, STORE_NEVER, &code, error);
  if (conn == NULL)
    return code;
  pq_add_id(&params, id);
  code = pq_command(conn, "BEGIN", "beginning to delete", error);
  if (code == STORE_OK)
    code = lock_conversation(conn, id, error);
  if (code == STORE_OK)
    code = pq_each(conn, PQ_MESSAGES_DELETE, &params, NULL, NULL, messages, "deleting messages", error);
  if (code == STORE_OK)
    code = pq_change(conn, PQ_CONVERSATION_DELETE, &params, "deleting a conversation", error);
  if (code == STORE_OK)
    code = pq_command(conn, "COMMIT", "committing", error);
  return pq_done(&self->pools, conn, code, error);
}
