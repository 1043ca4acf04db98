/* table.h: an array of flat objects as a table. */
#ifndef ICCM_CLI_TABLE_H
#define ICCM_CLI_TABLE_H

#include <stdbool.h>
#include "print.h"

/* Prints a non-empty array of objects as a table. False: rows is something else, too deep or too wide;
 * nothing was printed. */
bool print_table(const print_t *print, yyjson_val *rows);

#endif
