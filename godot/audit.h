/* audit.h: log lines about what callers do to the logs themselves: clear, levels, dead letters. */
#ifndef GODOT_AUDIT_H
#define GODOT_AUDIT_H

#include <iccm_network.h>
#include "redis_queue.h"

/* Logs that the caller of a call, which has not ended, did something: "<what> by <caller>", with the
 * arguments of the call and the result, which may be NULL. The line is printed, and pushed to the queue as an
 * entry of the component "godot". */
void audit(queue_t *queue, mcp_call_t *call, const char *what, yyjson_val *result);

#endif
