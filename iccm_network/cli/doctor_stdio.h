/* doctor_stdio.h: the stages of `iccm doctor --stdio PROGRAM`. */
#ifndef ICCM_CLI_DOCTOR_STDIO_H
#define ICCM_CLI_DOCTOR_STDIO_H

#include "doctor_stage.h"

bool doctor_start_program(doctor_t *doctor);
bool doctor_discover_stdio(doctor_t *doctor);
bool doctor_initialize_stdio(doctor_t *doctor);
bool doctor_list_tools_stdio(doctor_t *doctor);
bool doctor_send_bad_json_stdio(doctor_t *doctor);
bool doctor_end_input(doctor_t *doctor);

#endif
