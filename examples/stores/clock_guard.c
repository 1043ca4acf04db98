/* clock_guard.c: see clock_guard.h. */
#include "clock_guard.h"
#include "monotonic.h"

#include <iccm_network.h>
#include <iccm_service.h>

bool clock_guard_is_suspect(int64_t last_us, int64_t now_us) {
  return last_us != INT64_MIN &&
         (last_us < now_us - CLOCK_GUARD_MAX_OFFSET_US || last_us > now_us + CLOCK_GUARD_MAX_OFFSET_US);
}

bool clock_guard_allows(clock_guard_t *guard, int64_t last_us, int64_t now_us, int64_t now_ms) {
  bool doubts = clock_guard_is_suspect(last_us, now_us);
  if (doubts && (!guard->holds || guard->last_us != last_us))
    *guard = (clock_guard_t){.holds = true, .last_us = last_us, .since_ms = now_ms};
  if (!doubts || now_ms - guard->since_ms >= CLOCK_GUARD_HOLD_MS)
    guard->holds = false;
  return !guard->holds;
}

bool clock_guard_check(clock_guard_t *guard, const char *program, const char *what, int64_t last_us,
                       int64_t now_us) {
  char last[MCP_TIME_SIZE], now[MCP_TIME_SIZE];
  bool held = guard->holds, allowed = clock_guard_allows(guard, last_us, now_us, monotonic_ms());
  if (allowed && held)
    mcp_log(MCP_LOG_WARN, "retention", "%s are removed again", what);
  if (allowed || held)
    return allowed;
  mcp_time_format(last_us, last);
  mcp_time_format(now_us, now);
  mcp_log(
      MCP_LOG_WARN, "retention",
      "no %s are removed for 24 hours: the clock says %s, but said %s at the last removal; if it is right, "
      "run %s --resume-retention",
      what, now, last, program);
  return false;
}
