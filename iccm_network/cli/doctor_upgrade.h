/* doctor_upgrade.h: the upgrade stage of `iccm doctor`. */
#ifndef ICCM_CLI_DOCTOR_UPGRADE_H
#define ICCM_CLI_DOCTOR_UPGRADE_H

#include "doctor_stage.h"

bool doctor_upgrade(doctor_t *doctor);

#endif
