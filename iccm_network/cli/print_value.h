/* print_value.h: any JSON value as readable text. */
#ifndef ICCM_CLI_PRINT_VALUE_H
#define ICCM_CLI_PRINT_VALUE_H

#include "print.h"

/* Prints a string without quotes, an array of flat objects as a table, anything else as indented JSON. */
void print_value(const print_t *print, yyjson_val *value);

#endif
