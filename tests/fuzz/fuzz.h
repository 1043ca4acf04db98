/* fuzz.h: shared code of the fuzz targets. A target is LLVMFuzzerTestOneInput(): libFuzzer calls it with
 * generated inputs, replay.c with those of a corpus. FUZZ_CHECK() ends the process if a condition is false.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "base/buf.h"

#define FUZZ_CHECK(condition) ((condition) ? (void)0 : fuzz_failed(#condition, __FILE__, __LINE__))

_Noreturn void fuzz_failed(const char *condition, const char *file, int line);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How an input is split: one piece, single bytes, or pieces whose lengths are derived from its content. */
typedef enum fuzz_cut { FUZZ_WHOLE, FUZZ_BYTES, FUZZ_PIECES, FUZZ_CUTS } fuzz_cut_t;

/* Each piece is copied into memory of exactly its size, so that the sanitizer detects reads past its end.
 * Stops when feed returns false. */
void fuzz_feed(const uint8_t *data, size_t len, fuzz_cut_t cut,
               bool (*feed)(const char *piece, size_t len, void *arg), void *arg);

/* A copy of len bytes followed by padding zeros; release with free(). */
char *fuzz_copy(const uint8_t *data, size_t len, size_t padding);

/* Parses the output of one side of a WebSocket and checks it: complete frames, correct masking, nothing after
 * a close. Payloads are passed unmasked; text is valid UTF-8. */
void fuzz_frames(const char *data, size_t len, bool masked,
                 void (*on_frame)(uint8_t first, const char *payload, size_t len, void *arg), void *arg);

/* True if both have the same content. */
bool fuzz_same(const mcp__buf_t *a, const mcp__buf_t *b);

#endif
