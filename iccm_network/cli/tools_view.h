/* tools_view.h: the result of tools/list as text. */
#ifndef ICCM_CLI_TOOLS_VIEW_H
#define ICCM_CLI_TOOLS_VIEW_H

#include "print.h"

/* Prints names, descriptions and arguments. */
void print_tools(const print_t *print, yyjson_val *tools);

#endif
