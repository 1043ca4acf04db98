/* schema_pattern.c: ECMA-262 regular expressions on PCRE2, translated by schema_ecma.c.
 *
 * PCRE2's own match limit restarts at each position where a match may start, and does not count how far one
 * item ran. So an expression is compiled with a callout before every item; each callout takes one step, and
 * one more for every 64 bytes that the match moved since the last. When no steps are left, the match ends.
 * Backtracking data is kept in a buffer on the stack, and on the heap when that is full, up to a limit. The
 * just-in-time compiler is not used: it supports neither of these limits, and needs memory that is both
 * writable and executable. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "schema/schema_pattern.h"
#include "schema/schema.h"
#include "schema/schema_ecma.h"

#include <errno.h>
#include <pcre2.h>
#include <stdio.h>

enum {
  STACK_BYTES = 22528, /* PCRE2 starts with 20 KiB of frames and some hundred bytes beside them */
  BYTES_PER_STEP = 64,
  WORDS_BYTES = 128,
  OPTIONS = PCRE2_UTF | PCRE2_AUTO_CALLOUT | PCRE2_DOLLAR_ENDONLY | PCRE2_ALLOW_EMPTY_CLASS |
            PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_BACKSLASH_C
};

/* ---- Compiling: all memory is from the arena ---- */

static void *alloc_in_arena(size_t size, void *arena) {
  return mcp__arena_alloc(arena, size);
}

static void free_nothing(void *memory, void *arg) {
  (void)memory;
  (void)arg;
}

static int compile(mcp__arena_t *arena, const mcp__buf_t *text, struct pcre2_real_code_8 **code,
                   char *message, size_t size) {
  pcre2_general_context *general = pcre2_general_context_create(alloc_in_arena, free_nothing, arena);
  pcre2_compile_context *context = general != NULL ? pcre2_compile_context_create(general) : NULL;
  if (context == NULL)
    return -ENOMEM;
  int error;
  size_t offset; /* an offset in the translated text, which its author does not know */
  *code = pcre2_compile((PCRE2_SPTR)(text->len > 0 ? text->data : ""), text->len, OPTIONS, &error, &offset,
                        context);
  if (*code != NULL)
    return 0;
  if (arena->failed)
    return -ENOMEM;
  PCRE2_UCHAR words[WORDS_BYTES];
  pcre2_get_error_message(error, words, sizeof words);
  snprintf(message, size, " is a regular expression that is not supported: %s", (const char *)words);
  return -EINVAL;
}

int mcp__pattern_new(mcp__arena_t *arena, yyjson_val *text, mcp__pattern_t *out, char *message, size_t size) {
  mcp__buf_t rewritten;
  const char *words;
  size_t offset;
  *out = (mcp__pattern_t){.text = text};
  mcp__buf_init(&rewritten, SIZE_MAX / 2, NULL);
  int status = mcp__ecma_translate(yyjson_get_str(text), yyjson_get_len(text), &rewritten, &words, &offset);
  if (status == -EINVAL)
    snprintf(message, size, " is not a regular expression of ECMA-262: %s at byte %zu", words, offset);
  else if (status == 0)
    status = compile(arena, &rewritten, &out->code, message, size);
  mcp__buf_deinit(&rewritten);
  return status;
}

/* ---- Matching ---- */

typedef struct scratch {
  size_t used;
  bool failed; /* the heap was used up */
  _Alignas(16) char bytes[STACK_BYTES];
} scratch_t;

static void *scratch_alloc(size_t size, void *arg) {
  scratch_t *scratch = arg;
  size_t padded = (size + 15) & ~(size_t)15;
  if (padded > STACK_BYTES - scratch->used) {
    void *memory = mcp__malloc(size);
    scratch->failed |= memory == NULL;
    return memory;
  }
  void *memory = scratch->bytes + scratch->used;
  scratch->used += padded;
  return memory;
}

static void scratch_free(void *memory, void *arg) {
  scratch_t *scratch = arg;
  uintptr_t begin = (uintptr_t)scratch->bytes, at = (uintptr_t)memory;
  if (at < begin || at >= begin + STACK_BYTES)
    mcp__free(memory);
}

typedef struct progress {
  uint64_t steps; /* steps left */
  size_t position;
} progress_t;

static int on_item(pcre2_callout_block *item, void *arg) {
  progress_t *progress = arg;
  size_t now = item->current_position, last = progress->position;
  uint64_t cost = 1 + (now > last ? now - last : last - now) / BYTES_PER_STEP;
  progress->position = now;
  if (progress->steps <= cost) {
    progress->steps = 0;
    return PCRE2_ERROR_CALLOUT;
  }
  progress->steps -= cost;
  return 0;
}

static mcp__match_t find(const mcp__pattern_t *pattern, yyjson_val *string, progress_t *progress,
                         scratch_t *scratch) {
  pcre2_general_context *general = pcre2_general_context_create(scratch_alloc, scratch_free, scratch);
  pcre2_match_data *data = general != NULL ? pcre2_match_data_create(1, general) : NULL;
  pcre2_match_context *context = data != NULL ? pcre2_match_context_create(general) : NULL;
  int status = PCRE2_ERROR_NOMEMORY;
  if (context != NULL) {
    pcre2_set_callout(context, on_item, progress);
    pcre2_set_heap_limit(context, MCP__SCHEMA_PATTERN_KIB);
    status = pcre2_match(pattern->code, (PCRE2_SPTR)yyjson_get_str(string), yyjson_get_len(string), 0,
                         PCRE2_NO_UTF_CHECK, data, context);
  }
  pcre2_match_context_free(context);
  pcre2_match_data_free(data);
  pcre2_general_context_free(general);
  if (status >= 0) /* 0: no room for the groups, which are not needed */
    return MCP__MATCH_FOUND;
  if (status == PCRE2_ERROR_NOMATCH)
    return MCP__MATCH_NONE;
  if (scratch->failed)
    return MCP__MATCH_NO_MEMORY;
  return status == PCRE2_ERROR_HEAPLIMIT ? MCP__MATCH_TOO_LARGE : MCP__MATCH_TOO_LONG;
}

mcp__match_t mcp__pattern_find(const mcp__pattern_t *pattern, yyjson_val *string, uint64_t *steps) {
  scratch_t scratch; /* not cleared: that would cost more than a match */
  scratch.used = 0;
  scratch.failed = false;
  progress_t progress = {*steps, 0};
  mcp__match_t match = find(pattern, string, &progress, &scratch);
  *steps = progress.steps;
  return match;
}
