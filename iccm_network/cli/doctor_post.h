/* doctor_post.h: the requests of `iccm doctor` over HTTP, sent as the library's client sends them. */
#ifndef ICCM_CLI_DOCTOR_POST_H
#define ICCM_CLI_DOCTOR_POST_H

#include "client/http_message.h"
#include "doctor_stage.h"
#include "raw_http.h"

typedef struct doctor_request {
  mcp__era_t era;
  const char *verb;   /* "GET" of a stream or "DELETE", without a body; NULL: POST of a message */
  const char *method; /* of the message */
  const char *params; /* JSON text of an object; NULL: none */
  const char *text;   /* sent instead of the message; NULL: none */
  const char *path;   /* NULL: that of the URL */
  bool is_notification;
} doctor_request_t;

/* Sends a request on the connection of an exchange. */
void doctor_send(doctor_t *doctor, raw_http_t *http, const doctor_request_t *request);
/* Begins an exchange on a new connection to the same address as another, sends a request and waits for its
 * response. The caller calls raw_http_deinit(). */
void doctor_ask(doctor_t *doctor, const raw_conn_t *to, raw_http_t *http, const doctor_request_t *request,
                uint64_t limit_ms);

/* The code of the error in a response; 0: none. */
int doctor_error_code(const raw_http_t *http);
/* Adds a finding that describes a response, or why there is none. what: of the request, or "". */
void doctor_add_response(doctor_t *doctor, diagnosis_id_t diagnosis, const raw_http_t *http,
                         const char *what);

#endif
