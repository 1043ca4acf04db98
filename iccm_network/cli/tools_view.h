/* tools_view.h: the answer of tools/list for people. */
#ifndef ICCM_CLI_TOOLS_VIEW_H
#define ICCM_CLI_TOOLS_VIEW_H

#include "print.h"

/* Names, descriptions, arguments. */
void print_tools(const print_t *print, yyjson_val *tools);

#endif
