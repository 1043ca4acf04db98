/* doctor_response.h: what the first bytes of a server say about it, for the stages of `iccm doctor`. */
#ifndef ICCM_CLI_DOCTOR_RESPONSE_H
#define ICCM_CLI_DOCTOR_RESPONSE_H

#include "doctor_stage.h"

enum { DOCTOR_RESPONSE_SIZE = FINDING_WHAT_SIZE - FINDING_ADDRESS_SIZE - 16 };

bool doctor_is_tls(const raw_conn_t *conn); /* its response is TLS */
/* Whether the server of a connection in plain text speaks TLS. */
bool doctor_speaks_tls(doctor_t *doctor, const raw_conn_t *asked);
/* The diagnosis for a response that is not HTTP. */
diagnosis_id_t doctor_other_protocol(const raw_conn_t *conn);
/* Describes the response, or why there is none. body: the text behind the head of HTTP, or "". */
void doctor_describe_response(const raw_conn_t *conn, const char *body, char text[DOCTOR_RESPONSE_SIZE]);

#endif
