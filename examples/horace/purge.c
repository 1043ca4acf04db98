/* purge.c: files_purge(); see files.h. */
#include "change.h"

static bool purge_one(horace_t *horace, const char *id, int64_t before_us, cancel_token_t cancel,
                      failure_t *failure) {
  record_t record;
  if (!change_begin(horace, id, cancel, &record, failure))
    return false;
  bool expired = record.status == FILE_DELETED && record.deleted_at < before_us, fine = true;
  int code = expired ? staging_mark(horace, id, "purge") : 0;
  if (code != 0)
    fine = failure_from_disk(failure, code, "removing a deleted file");
  else if (expired)
    fine = staging_purge(horace, &record, cancel, failure);
  change_end(horace, &record);
  record_deinit(&record);
  return fine;
}

/* Removes batches until one of them removes nothing. */
static void purge_all(horace_t *horace, int64_t before_us, cancel_token_t cancel) {
  id_list_t list;
  store_error_t error;
  failure_t failure;
  for (int removed = 1; removed > 0;) {
    int code = catalogue_expired(horace->db, before_us, &list, &error);
    if (code != STORE_OK) {
      failure_from_store(horace, &failure, code, &error, "looking for deleted files");
      return;
    }
    removed = 0;
    for (int i = 0; i < list.count && !(cancel.cb != NULL && cancel.cb(cancel.arg)); i++)
      removed += purge_one(horace, list.ids[i], before_us, cancel, &failure);
  }
}

bool files_purge(horace_t *horace, cancel_token_t cancel) {
  store_error_t error;
  failure_t failure;
  int64_t last_us, now_us = mcp_time_now_us();
  bool clock_is_trusted = true;
  int code = catalogue_last_retention(horace->db, &last_us, &error);
  if (code == STORE_OK) {
    clock_is_trusted = clock_guard_check(&horace->clock_guard, "horace", "deleted files", last_us, now_us);
    mcp_metric_set(horace->metrics.retention_held, NULL, !clock_is_trusted);
  }
  if (code == STORE_OK && clock_is_trusted)
    code = catalogue_begin_retention(horace->db, now_us, cancel, &error);
  if (code != STORE_OK)
    failure_from_store(horace, &failure, code, &error, "looking for deleted files");
  else if (clock_is_trusted)
    purge_all(horace, now_us - FILES_DELETED_RETENTION_US, cancel);
  return clock_is_trusted;
}
