/* fuzz.h: what the fuzz targets share. A target is LLVMFuzzerTestOneInput(): libFuzzer calls it with inputs
 * that it makes, replay.c with those of a corpus. What must hold is checked by FUZZ_CHECK(), which ends the
 * process. */
#ifndef FUZZ_H
#define FUZZ_H

#include "base/buf.h"

#define FUZZ_CHECK(condition) ((condition) ? (void)0 : fuzz_failed(#condition, __FILE__, __LINE__))

_Noreturn void fuzz_failed(const char *condition, const char *file, int line);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How an input is handed over: as one piece, byte by byte, or in pieces whose lengths follow from its
 * content. */
typedef enum fuzz_cut { FUZZ_WHOLE, FUZZ_BYTES, FUZZ_PIECES, FUZZ_CUTS } fuzz_cut_t;

/* Each piece is in memory of exactly its own size, so that the sanitizer sees a byte read behind it. Ends
 * when feed returns false. */
void fuzz_feed(const uint8_t *data, size_t len, fuzz_cut_t cut,
               bool (*feed)(const char *piece, size_t len, void *arg), void *arg);

/* A copy of exactly len bytes and padding zeros behind them; goes by free(). */
char *fuzz_copy(const uint8_t *data, size_t len, size_t padding);

/* Takes apart what one side of a WebSocket has sent: whole frames, rightly masked, nothing behind a close.
 * Payloads are unmasked; a text's has been checked for UTF-8. */
void fuzz_frames(const char *data, size_t len, bool masked,
                 void (*on_frame)(uint8_t first, const char *payload, size_t len, void *arg), void *arg);

/* Whether both hold the same. */
bool fuzz_same(const mcp__buf_t *a, const mcp__buf_t *b);

#endif
