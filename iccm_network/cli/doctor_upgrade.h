/* doctor_upgrade.h: the stage of `iccm doctor` that asks for the upgrade. */
#ifndef ICCM_CLI_DOCTOR_UPGRADE_H
#define ICCM_CLI_DOCTOR_UPGRADE_H

#include "doctor_stage.h"

bool doctor_upgrade(doctor_t *doctor);

#endif
