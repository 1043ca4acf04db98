/* client_exchange.c: see client_exchange.h. */
#include "client/client_exchange.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum {
  RETRY_MS = 1000,
  MIN_RETRY_MS = 100,
  MAX_RETRY_MS = 3600000,
  MAX_RESUMES = 8,       /* without an event; each waits twice as long as the one before */
  LONG_STREAM_MS = 30000 /* a stream that has lasted so long has worked, also without an event */
};

static uint64_t number_of(const char *id) {
  char *end;
  unsigned long long number = id != NULL && *id >= '0' && *id <= '9' ? strtoull(id, &end, 10) : 0;
  return number > 0 && *end == '\0' ? number : 0;
}

int mcp__client_exchange_new(mcp__purpose_t purpose, const char *text, size_t len, mcp__era_t era,
                             mcp__client_exchange_t **out) {
  mcp__client_exchange_t *exchange = mcp__calloc(sizeof *exchange);
  if (exchange == NULL)
    return UV_ENOMEM;
  int status = mcp__outgoing_read(&exchange->message, text, len, era, SIZE_MAX / 4);
  if (status != 0) {
    mcp__free(exchange);
    return status;
  }
  exchange->purpose = purpose;
  if (exchange->message.method != NULL && purpose != MCP__FOR_DISCOVER && purpose != MCP__FOR_TOOLS)
    exchange->request = number_of(exchange->message.id);
  *out = exchange;
  return 0;
}

void mcp__client_exchange_free(mcp__client_exchange_t *exchange) {
  mcp__free(exchange->resume_id);
  mcp__outgoing_deinit(&exchange->message);
  mcp__free(exchange);
}

bool mcp__client_exchange_is_request(const mcp__client_exchange_t *exchange) {
  return exchange->message.method != NULL && exchange->message.id != NULL;
}

/* Keeps the id of the last event. False: out of memory. */
static bool keep_id(mcp__client_exchange_t *exchange, const mcp__sse_t *sse) {
  bool is_new = *sse->last_id != '\0' &&
                (exchange->resume_id == NULL || strcmp(exchange->resume_id, sse->last_id) != 0);
  if (!is_new)
    return true;
  mcp__free(exchange->resume_id);
  exchange->resume_id = mcp__strdup(sse->last_id);
  exchange->resumes = 0;
  return exchange->resume_id != NULL;
}

static uint64_t delay_ms(const mcp__client_exchange_t *exchange) {
  uint64_t ms = exchange->retry_ms;
  ms = ms < MIN_RETRY_MS ? MIN_RETRY_MS : ms > MAX_RETRY_MS ? MAX_RETRY_MS : ms;
  return ms << exchange->resumes;
}

bool mcp__client_exchange_resume(mcp__client_exchange_t *exchange, const mcp__sse_t *sse, uint64_t now_ms) {
  bool may_begin = exchange->purpose == MCP__FOR_STREAM; /* else its request would be lost */
  if (sse->retry_ms != UINT64_MAX)
    exchange->retry_ms = sse->retry_ms;
  else if (exchange->resume_id == NULL)
    exchange->retry_ms = RETRY_MS;
  if (may_begin && exchange->resumes > 0 && now_ms - exchange->due_ms >= LONG_STREAM_MS)
    exchange->resumes = 0;
  if (!keep_id(exchange, sse) || (exchange->resume_id == NULL && !may_begin) ||
      exchange->resumes == MAX_RESUMES)
    return false;
  exchange->due_ms = now_ms + delay_ms(exchange);
  exchange->resumes++;
  return true;
}

void mcp__exchange_append(mcp__exchange_queue_t *queue, mcp__client_exchange_t *exchange) {
  mcp__client_exchange_t **end = &queue->first;
  while (*end != NULL)
    end = &(*end)->next;
  exchange->next = NULL;
  *end = exchange;
  queue->count++;
}

void mcp__exchange_prepend(mcp__exchange_queue_t *queue, mcp__client_exchange_t *exchange) {
  exchange->next = queue->first;
  queue->first = exchange;
  queue->count++;
}

mcp__client_exchange_t *mcp__exchange_take(mcp__exchange_queue_t *queue, mcp__client_exchange_t **at) {
  mcp__client_exchange_t *exchange = *at;
  *at = exchange->next;
  queue->count--;
  return exchange;
}

void mcp__exchange_free_all(mcp__exchange_queue_t *queue) {
  while (queue->first != NULL)
    mcp__client_exchange_free(mcp__exchange_take(queue, &queue->first));
}
