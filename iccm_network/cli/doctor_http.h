/* doctor_http.h: the stages of `iccm doctor` for MCP over HTTP. */
#ifndef ICCM_CLI_DOCTOR_HTTP_H
#define ICCM_CLI_DOCTOR_HTTP_H

#include "doctor_stage.h"

/* doctor_endpoint.c */
bool doctor_discover_http(doctor_t *doctor);
bool doctor_initialize_http(doctor_t *doctor);

/* doctor_http.c */
bool doctor_list_tools_http(doctor_t *doctor);
bool doctor_stream_http(doctor_t *doctor);
bool doctor_send_large_message_http(doctor_t *doctor);
bool doctor_send_bad_json_http(doctor_t *doctor); /* also ends the session */

#endif
