/* arguments.h: the words behind a tool's name, as the object of its arguments. */
#ifndef ICCM_CLI_ARGUMENTS_H
#define ICCM_CLI_ARGUMENTS_H

#include <stdio.h>
#include <yyjson.h>

enum { ARGUMENTS_ERROR_SIZE = 256 };

/* No words: an empty object. One word that starts with {: that JSON object. "-": the JSON object that input
 * holds. Else each word is key=value; a value that is valid JSON is taken as JSON, any other as text; or
 * key:=value, which has to be JSON. Returns a new document, or NULL and one line in error. */
yyjson_mut_doc *arguments_parse(int count, char *const *args, FILE *input, char error[ARGUMENTS_ERROR_SIZE]);

/* Reads the values of key=value again, now with the schema of the object: where it allows text, a value is
 * text, quotes included, unless it is JSON of another type that the schema allows. arguments and words are
 * those of arguments_parse(); what came as JSON stays. */
void arguments_set_types(yyjson_mut_doc *arguments, int count, char *const *args, yyjson_val *schema);

#endif
