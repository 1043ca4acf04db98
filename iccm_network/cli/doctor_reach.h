/* doctor_reach.h: the first stages of `iccm doctor`: from a name to connections. */
#ifndef ICCM_CLI_DOCTOR_REACH_H
#define ICCM_CLI_DOCTOR_REACH_H

#include "doctor_stage.h"

bool doctor_find_addresses(doctor_t *doctor);
bool doctor_connect(doctor_t *doctor);

#endif
