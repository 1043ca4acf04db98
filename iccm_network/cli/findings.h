/* findings.h: the findings of `iccm doctor`, as text for people and as JSON for programs. */
#ifndef ICCM_CLI_FINDINGS_H
#define ICCM_CLI_FINDINGS_H

#include "diagnoses.h"
#include "print.h"

enum { FINDINGS_MAX = 64, FINDING_WHAT_SIZE = 480, FINDING_ADDRESS_SIZE = 64 };

typedef struct finding {
  const char *stage; /* static */
  const diagnosis_t *diagnosis;
  char address[FINDING_ADDRESS_SIZE]; /* "": not about one address */
  double ms;
  char what[FINDING_WHAT_SIZE];
} finding_t;

typedef struct findings {
  finding_t list[FINDINGS_MAX];
  size_t count;
} findings_t;

/* The exit code of the first failure, else ICCM_OK: warnings do not count. */
int findings_exit_code(const findings_t *findings);

void finding_print(const print_t *out, const finding_t *finding);
void findings_print_summary(const print_t *out, const findings_t *findings);
void findings_print_json(const print_t *out, const findings_t *findings, const char *url, double ms);

#endif
