/* apply_schema.h: arguments of the command line, as the schema of their tool has them. */
#ifndef ICCM_CLI_APPLY_SCHEMA_H
#define ICCM_CLI_APPLY_SCHEMA_H

#include "print.h"
#include "sync_client.h"

/* Asks the server for the schema of the tool of the client's options, which arguments were read from: gives
 * the arguments the types of that schema, and warns on standard error of each that it does not list. Where no
 * schema comes, they stay as they are. Returns 0; or, where there is no connection, an exit code after that
 * was reported. *disconnected: the connection ended meanwhile, and the call needs another. */
int apply_schema(sync_client_t *sync, const print_t *out, yyjson_mut_doc *arguments, bool *disconnected);

#endif
