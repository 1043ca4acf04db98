/* doctor_stage.h: the state that the stages of `iccm doctor` share, and how they add findings. */
#ifndef ICCM_CLI_DOCTOR_STAGE_H
#define ICCM_CLI_DOCTOR_STAGE_H

#include <iccm_network.h>
#include <stddef.h>
#include "transport/tls.h"
#include "transport/url.h"
#include "client/handshake.h"
#include "diagnoses.h"
#include "findings.h"
#include "options.h"
#include "print.h"
#include "raw_conn.h"
#include "raw_program.h"

enum { DOCTOR_MAX_ADDRESSES = 16 };

typedef struct doctor {
  const options_t *options; /* borrowed */
  const print_t *out;       /* borrowed */
  findings_t findings;
  mcp__url_t url;
  net_t net;
  struct sockaddr_storage addresses[DOCTOR_MAX_ADDRESSES];
  size_t address_count;
  raw_conn_t *conns[DOCTOR_MAX_ADDRESSES]; /* one to each address; the net's */
  raw_conn_t *mcp_conn;                    /* one of conns, used for MCP; NULL: none was upgraded */
  mcp__tls_context_t *tls;                 /* owned; NULL: plain text */
  raw_program_t *program;                  /* owned; NULL: none was started */
  bool text_found;                         /* its text on standard output was reported */
  bool modern, legacy;                     /* over HTTP and stdio: the versions that the server speaks … */
  const char *version;                     /* … and of the older ones the one agreed on; NULL: none yet */
  char session[MCP__SESSION_ID_MAX + 1];   /* Mcp-Session-Id; "": none */
  const char *stage;                       /* the running one */
  uint64_t began_ns;                       /* of the stage, or of the step that the next finding reports */
} doctor_t;

/* A stage adds its findings and returns whether the later stages make sense. */
typedef bool (*doctor_stage_cb)(doctor_t *doctor);

/* Adds a finding of the running stage and prints it. address: NULL if the finding is not about one address;
 * ms: its duration. */
void doctor_add(doctor_t *doctor, diagnosis_id_t diagnosis, const char *address, double ms,
                const char *format, ...) MCP_PRINTF(5, 6);
/* The diagnosis for a missing response: the given one, or DIAGNOSIS_NO_TIME… if the time limit of the whole
 * run has expired. */
diagnosis_id_t doctor_timeout_cause(const doctor_t *doctor, diagnosis_id_t diagnosis);
double doctor_elapsed_ms(const doctor_t *doctor); /* since began_ns */

#endif
