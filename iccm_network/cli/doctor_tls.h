/* doctor_tls.h: the TLS stage of `iccm doctor`. */
#ifndef ICCM_CLI_DOCTOR_TLS_H
#define ICCM_CLI_DOCTOR_TLS_H

#include "doctor_stage.h"

bool doctor_start_tls(doctor_t *doctor);

#endif
