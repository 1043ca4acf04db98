/* prepare.h: arguments of the command line, as the schema of their tool has them. */
#ifndef ICCM_CLI_PREPARE_H
#define ICCM_CLI_PREPARE_H

#include "print.h"
#include "sync_client.h"

/* Asks the server for the schema of the tool of the client's options, which arguments were read from: gives
 * the arguments the types of that schema, and warns on standard error of each that it does not list. Where no
 * schema comes, they stay as they are. Returns 0; or, where there is no connection, an exit code after that
 * was reported. *lost: the connection ended meanwhile, and the call needs another. */
int prepare_arguments(sync_client_t *sync, const print_t *out, yyjson_mut_doc *arguments, bool *lost);

#endif
