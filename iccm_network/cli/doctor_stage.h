/* doctor_stage.h: what the stages of `iccm doctor` work on, and how they add what they find. */
#ifndef ICCM_CLI_DOCTOR_STAGE_H
#define ICCM_CLI_DOCTOR_STAGE_H

#include <iccm_network.h>
#include <stddef.h>
#include "transport/url.h"
#include "diagnoses.h"
#include "findings.h"
#include "options.h"
#include "print.h"
#include "raw_conn.h"

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
  raw_conn_t *mcp_conn;                    /* the one that the talk goes over; NULL: none was upgraded */
  const char *stage;                       /* the one that runs */
  uint64_t began_ns;                       /* it did, or the part of it that a finding tells of */
} doctor_t;

/* A stage adds its findings and says whether those behind it make sense. */
typedef bool (*doctor_stage_cb)(doctor_t *doctor);

/* Adds what the stage that runs found, and shows it. address: NULL, none in particular; ms: how long it took.
 */
void doctor_add(doctor_t *doctor, diagnosis_id_t diagnosis, const char *address, double ms,
                const char *format, ...) MCP_PRINTF(5, 6);
/* What to add where an answer did not come: the cause, unless it is only that the time for everything is
 * over. */
diagnosis_id_t doctor_timeout_cause(const doctor_t *doctor, diagnosis_id_t diagnosis);
double doctor_elapsed_ms(const doctor_t *doctor); /* since began_ns */

#endif
