/* doctor_tls.h: the TLS stage of `iccm doctor`. */
#ifndef ICCM_CLI_DOCTOR_TLS_H
#define ICCM_CLI_DOCTOR_TLS_H

#include "doctor_stage.h"

bool doctor_start_tls(doctor_t *doctor);
/* A new connection to the address of another, with TLS if the URL has it. Its state is RAW_CONN_OPEN on
 * success.
 */
raw_conn_t *doctor_reconnect(doctor_t *doctor, const raw_conn_t *to);

#endif
