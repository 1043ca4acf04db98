/* apply_schema.h: converts command-line arguments to the types in their tool's schema. */
#ifndef ICCM_CLI_APPLY_SCHEMA_H
#define ICCM_CLI_APPLY_SCHEMA_H

#include "print.h"
#include "sync_client.h"

/* Requests tools/list, converts arguments to the types in the schema of sync->options->tool, and prints a
 * warning on stderr for each argument that is not in the schema. arguments: parsed from those options. If the
 * schema cannot be read, they do not change. Returns 0, or an exit code after reporting that the connection
 * failed. *disconnected: the connection was lost; the call needs a new one. */
int apply_schema(sync_client_t *sync, const print_t *out, yyjson_mut_doc *arguments, bool *disconnected);

#endif
