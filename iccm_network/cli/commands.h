/* commands.h: the commands of `iccm`, each in the file of its name. */
#ifndef ICCM_CLI_COMMANDS_H
#define ICCM_CLI_COMMANDS_H

#include "options.h"
#include "print.h"

/* Each command prints its result to out, or reports an error, and returns an exit code. */
int list_run(const options_t *options, const print_t *out);
int call_run(const options_t *options, const print_t *out);
int ping_run(const options_t *options, const print_t *out);
int bench_run(const options_t *options, const print_t *out);
int bridge_run(const options_t *options, const print_t *out);
int bridge_listen_run(const options_t *options, const print_t *out); /* bridge --listen */
int listen_run(const options_t *options, const print_t *out);
int doctor_run(const options_t *options, const print_t *out);
int logs_run(const options_t *options, const print_t *out);
int stats_run(const options_t *options, const print_t *out);
int ready_run(const options_t *options, const print_t *out);
int trace_run(const options_t *options, const print_t *out);
int canary_run(const options_t *options, const print_t *out);
int dead_run(const options_t *options, const print_t *out);
int new_run(const options_t *options, const print_t *out);
int token_run(const options_t *options, const print_t *out);
int manifest_run(const options_t *options, const print_t *out);

#endif
