/* purge.c: files_purge(); see files.h. */
#include "change.h"

static bool purge_one(horace_t *horace, const char *id, int64_t before_us, store_stop_t stop,
                      trouble_t *trouble) {
  record_t record;
  if (!change_begin(horace, id, stop, &record, trouble))
    return false;
  bool expired = record.status == FILE_DELETED && record.deleted_at < before_us, fine = true;
  int code = expired ? work_mark(horace, id, "purge") : 0;
  if (code != 0)
    fine = trouble_disk(trouble, code, "removing a deleted file");
  else if (expired)
    fine = work_purge(horace, &record, stop, trouble);
  change_end(horace, &record);
  record_deinit(&record);
  return fine;
}

/* A hundred at a time, for as long as that makes them fewer. */
static void purge_all(horace_t *horace, int64_t before_us, store_stop_t stop) {
  id_list_t list;
  store_error_t error;
  trouble_t trouble;
  for (int removed = 1; removed > 0;) {
    int code = catalogue_expired(horace->db, before_us, &list, &error);
    if (code != STORE_OK) {
      trouble_store(horace, &trouble, code, &error, "looking for deleted files");
      return;
    }
    removed = 0;
    for (int i = 0; i < list.count && !(stop.cb != NULL && stop.cb(stop.arg)); i++)
      removed += purge_one(horace, list.ids[i], before_us, stop, &trouble);
  }
}

bool files_purge(horace_t *horace, store_stop_t stop) {
  store_error_t error;
  trouble_t trouble;
  int64_t last_us, now_us = mcp_time_now_us();
  bool trusts = true;
  int code = catalogue_last_retention(horace->db, &last_us, &error);
  if (code == STORE_OK) {
    trusts = clock_guard_check(&horace->clock_guard, "horace", "deleted files", last_us, now_us);
    mcp_metric_set(horace->figures.retention_held, NULL, !trusts);
  }
  if (code == STORE_OK && trusts)
    code = catalogue_begin_retention(horace->db, now_us, stop, &error);
  if (code != STORE_OK)
    trouble_store(horace, &trouble, code, &error, "looking for deleted files");
  else if (trusts)
    purge_all(horace, now_us - FILES_DELETED_US, stop);
  return trusts;
}
