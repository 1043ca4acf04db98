/* arguments.h: the command-line arguments after a tool's name, as a JSON object. */
#ifndef ICCM_CLI_ARGUMENTS_H
#define ICCM_CLI_ARGUMENTS_H

#include <stdio.h>
#include <yyjson.h>

enum { ARGUMENTS_ERROR_SIZE = 256 };

/* No arguments: an empty object. One argument that starts with {: that JSON object. "-": the JSON object read
 * from input. Otherwise each argument is key=value, whose value is JSON if it is valid JSON and text if not,
 * or key:=value, whose value must be JSON. Returns a new document, or NULL and one line in error. */
yyjson_mut_doc *arguments_parse(int count, char *const *args, FILE *input, char error[ARGUMENTS_ERROR_SIZE]);

/* Converts the values of key=value to the types in the object's schema: where it allows text, a value is
 * text, quotes included, unless it is JSON of another allowed type. arguments and args are those of
 * arguments_parse(). Values of key:=value and of a JSON object do not change. */
void arguments_set_types(yyjson_mut_doc *arguments, int count, char *const *args, yyjson_val *schema);

#endif
