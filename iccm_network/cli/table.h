/* table.h: an array of flat objects as a table. */
#ifndef ICCM_CLI_TABLE_H
#define ICCM_CLI_TABLE_H

#include <stdbool.h>
#include "print.h"

/* The table of a non-empty array of objects; false, and nothing printed, when rows is no such thing, too
 * deep or too wide for a table. */
bool print_table(const print_t *print, yyjson_val *rows);

#endif
