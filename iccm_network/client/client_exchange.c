/* client_exchange.c: see client_exchange.h. */
#include "client/client_exchange.h"

#include <stdlib.h>
#include <uv.h>

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
  mcp__outgoing_deinit(&exchange->message);
  mcp__free(exchange);
}

bool mcp__client_exchange_is_request(const mcp__client_exchange_t *exchange) {
  return exchange->message.method != NULL && exchange->message.id != NULL;
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
