/* sse.c: lines are read field by field: the bytes of data go to the event at once, those of other fields and
 * of comments are skipped. */
#include "client/sse.h"

#include <string.h>

void mcp__sse_init(mcp__sse_t *sse, size_t max, bool (*on_event)(mcp__sse_t *sse, void *arg), void *arg) {
  memset(sse, 0, sizeof *sse);
  sse->on_event = on_event;
  sse->arg = arg;
  sse->retry_ms = UINT64_MAX;
  mcp__buf_init(&sse->data, max, NULL);
}

void mcp__sse_deinit(mcp__sse_t *sse) {
  mcp__buf_deinit(&sse->data);
}

static mcp__sse_field_t field_of(const mcp__sse_t *sse) {
  if (sse->name_len == 4 && memcmp(sse->name, "data", 4) == 0)
    return MCP__SSE_DATA;
  if (sse->name_len == 2 && memcmp(sse->name, "id", 2) == 0)
    return MCP__SSE_ID;
  if (sse->name_len == 5 && memcmp(sse->name, "retry", 5) == 0)
    return MCP__SSE_RETRY;
  return sse->name_len == 5 && memcmp(sse->name, "event", 5) == 0 ? MCP__SSE_TYPE : MCP__SSE_OTHER;
}

/* The name of the field is complete. */
static int begin_value(mcp__sse_t *sse) {
  sse->field = field_of(sse);
  if (sse->field == MCP__SSE_TYPE)
    sse->type_len = 0;
  if (sse->field == MCP__SSE_ID) {
    sse->id_len = 0;
    sse->id_is_bad = false;
  }
  if (sse->field == MCP__SSE_RETRY)
    sse->retry = 0;
  if (sse->field != MCP__SSE_DATA)
    return 0;
  int status = sse->has_data ? mcp__buf_append(&sse->data, "\n", 1) : 0;
  sse->has_data = true;
  return status;
}

static bool end_event(mcp__sse_t *sse) {
  bool has_data = sse->has_data, goes_on = true;
  sse->type[sse->type_len] = '\0';
  memcpy(sse->last_id, sse->id, sse->id_len); /* also of an event without data (WHATWG HTML) */
  sse->last_id[sse->id_len] = '\0';
  sse->has_data = false;
  if (has_data)
    goes_on = sse->on_event(sse, sse->arg);
  sse->type_len = 0;
  sse->data.len = 0;
  return goes_on;
}

static void end_value(mcp__sse_t *sse) {
  if (sse->field == MCP__SSE_ID && sse->id_is_bad)
    sse->id_len = 0;
  if (sse->field == MCP__SSE_RETRY && sse->value_begun && sse->retry != UINT64_MAX)
    sse->retry_ms = sse->retry;
}

static int end_line(mcp__sse_t *sse, bool *goes_on) {
  bool is_empty = sse->field == MCP__SSE_NAME && sse->name_len == 0;
  int status = 0;
  if (is_empty)
    *goes_on = end_event(sse);
  else if (sse->field == MCP__SSE_NAME) /* a name without a colon has an empty value */
    status = begin_value(sse);
  end_value(sse);
  sse->field = MCP__SSE_NAME;
  sse->name_len = 0;
  sse->value_begun = false;
  return status;
}

static void add_type(mcp__sse_t *sse, const char *data, size_t len) {
  if (len > MCP__SSE_TYPE_MAX - sse->type_len) {
    sse->type_len = 1;
    sse->type[0] = '?';
    sse->field = MCP__SSE_OTHER;
    return;
  }
  memcpy(sse->type + sse->type_len, data, len);
  sse->type_len += len;
}

static void add_id(mcp__sse_t *sse, const char *data, size_t len) {
  for (size_t i = 0; i < len && !sse->id_is_bad; i++) {
    sse->id_is_bad = sse->id_len == MCP__SSE_ID_MAX || data[i] < 0x20 || data[i] > 0x7e;
    if (!sse->id_is_bad)
      sse->id[sse->id_len++] = data[i];
  }
}

static void add_retry(mcp__sse_t *sse, const char *data, size_t len) {
  for (size_t i = 0; i < len && sse->retry != UINT64_MAX; i++) {
    bool is_digit = data[i] >= '0' && data[i] <= '9' && sse->retry < UINT32_MAX;
    sse->retry = is_digit ? sse->retry * 10 + (uint64_t)(data[i] - '0') : UINT64_MAX;
  }
}

static int take_name(mcp__sse_t *sse, char c) {
  if (c == ':')
    return begin_value(sse);
  if (sse->name_len < sizeof sse->name)
    sse->name[sse->name_len++] = c; /* one byte more than the longest: another field */
  return 0;
}

/* Takes bytes of a value up to the end of the line. Returns their number. */
static size_t take_value(mcp__sse_t *sse, const char *data, size_t len, int *status) {
  size_t used = 0;
  if (!sse->value_begun) {
    sse->value_begun = true;
    if (*data == ' ')
      return 1;
  }
  while (used < len && data[used] != '\n' && data[used] != '\r')
    used++;
  if (sse->field == MCP__SSE_DATA)
    *status = mcp__buf_append(&sse->data, data, used);
  else if (sse->field == MCP__SSE_TYPE)
    add_type(sse, data, used);
  else if (sse->field == MCP__SSE_ID)
    add_id(sse, data, used);
  else if (sse->field == MCP__SSE_RETRY)
    add_retry(sse, data, used);
  return used;
}

/* Skips a byte order mark at the beginning of the stream. Returns whether c belongs to it. */
static bool is_mark(mcp__sse_t *sse, char c) {
  static const char mark[] = "\xef\xbb\xbf";
  if (sse->mark < 3 && c == mark[sse->mark]) {
    sse->mark++;
    return true;
  }
  sse->mark = 3;
  return false;
}

int mcp__sse_feed(mcp__sse_t *sse, const char *data, size_t len) {
  int status = 0;
  bool goes_on = true;
  for (size_t at = 0; at < len && status == 0 && goes_on;) {
    char c = data[at];
    bool is_second = c == '\n' && sse->after_return;
    sse->after_return = c == '\r';
    if (is_second || is_mark(sse, c)) {
      at++;
    } else if (c == '\n' || c == '\r') {
      at++;
      status = end_line(sse, &goes_on);
    } else if (sse->field == MCP__SSE_NAME) {
      at++;
      status = take_name(sse, c);
    } else {
      at += take_value(sse, data + at, len - at, &status);
    }
  }
  return status;
}
