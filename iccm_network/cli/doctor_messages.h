/* doctor_messages.h: messages of MCP that the stages of `iccm doctor` send or describe, over any transport.
 */
#ifndef ICCM_CLI_DOCTOR_MESSAGES_H
#define ICCM_CLI_DOCTOR_MESSAGES_H

#include <iccm_network.h>

/* A member of an object; "": not a string, or missing. */
const char *doctor_text_of(yyjson_val *object, const char *name);
/* Writes ": NAME, NAME, ..." of the first tools of a list. */
void doctor_describe_tools(yyjson_val *tools, char *text, size_t size);
/* The params of a call of 1.5 MiB. No server has this tool, so the call has no effect. Owned by the caller.
 */
char *doctor_large_call(void);

#endif
