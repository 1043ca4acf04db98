/* doctor_mcp.h: the last stages of `iccm doctor`: MCP over WebSocket. */
#ifndef ICCM_CLI_DOCTOR_MCP_H
#define ICCM_CLI_DOCTOR_MCP_H

#include "doctor_stage.h"

bool doctor_initialize(doctor_t *doctor);
bool doctor_list_tools(doctor_t *doctor);
bool doctor_ping(doctor_t *doctor);
bool doctor_send_large_message(doctor_t *doctor);
bool doctor_send_bad_json(doctor_t *doctor);

#endif
