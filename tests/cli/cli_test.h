/* cli_test.h: helpers of the unit tests of `iccm`: captured output, and a check for leaks. */
#ifndef CLI_TEST_H
#define CLI_TEST_H

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>
#include "print.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#define assert_no_leaks() cr_assert_eq(__lsan_do_recoverable_leak_check(), 0)
#else
#define assert_no_leaks() (void)0
#endif

typedef struct capture {
  print_t print;
  char *text;
  size_t len;
} capture_t;

static inline void capture_begin(capture_t *captured, size_t width) {
  *captured = (capture_t){.print = {.width = width}};
  captured->print.file = open_memstream(&captured->text, &captured->len);
}

/* Compares all that was printed, and frees it. */
static inline void capture_end(capture_t *captured, const char *expected) {
  fclose(captured->print.file);
  cr_expect_str_eq(captured->text, expected, "got:\n%s\ninstead of:\n%s", captured->text, expected);
  free(captured->text);
}

static inline yyjson_doc *json(const char *text) {
  yyjson_doc *doc = yyjson_read(text, strlen(text), 0);
  cr_assert_not_null(doc, "not JSON: %s", text);
  return doc;
}

#endif
