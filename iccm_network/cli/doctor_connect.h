/* doctor_connect.h: the first stages of `iccm doctor`: name resolution and TCP connections. */
#ifndef ICCM_CLI_DOCTOR_CONNECT_H
#define ICCM_CLI_DOCTOR_CONNECT_H

#include "doctor_stage.h"

bool doctor_resolve(doctor_t *doctor);
bool doctor_connect(doctor_t *doctor);

#endif
