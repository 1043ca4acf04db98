/* doctor_stage.c: see doctor_stage.h. Failure: a finding beyond FINDINGS_MAX is not kept. */
#include "doctor_stage.h"

#include <stdarg.h>
#include <stdio.h>
#include "diagnoses.h"
#include "findings.h"
#include "raw_conn.h"

diagnosis_id_t doctor_timeout_cause(const doctor_t *doctor, diagnosis_id_t diagnosis) {
  if (net_left_ms(&doctor->net) > 0)
    return diagnosis;
  return doctor->mcp_conn != NULL || doctor->program != NULL ? DIAGNOSIS_NO_TIME
                                                             : DIAGNOSIS_NO_TIME_TO_CONNECT;
}

double doctor_elapsed_ms(const doctor_t *doctor) {
  return (double)(uv_hrtime() - doctor->began_ns) / 1e6;
}

void doctor_add(doctor_t *doctor, diagnosis_id_t diagnosis, const char *address, double ms,
                const char *format, ...) {
  findings_t *findings = &doctor->findings;
  va_list args;
  if (findings->count == FINDINGS_MAX) /* UNTESTED: more than all stages can find at DOCTOR_MAX_ADDRESSES */
    return;
  finding_t *finding = &findings->list[findings->count++];
  *finding = (finding_t){.stage = doctor->stage, .diagnosis = diagnosis_of(diagnosis), .ms = ms};
  snprintf(finding->address, sizeof finding->address, "%s", address != NULL ? address : "");
  va_start(args, format);
  vsnprintf(finding->what, sizeof finding->what, format, args);
  va_end(args);
  if (doctor->options->json)
    return;
  finding_print(doctor->out, finding);
  fflush(doctor->out->file);
}
