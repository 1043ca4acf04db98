/* arguments.h: the words behind a tool's name, as the object of its arguments. */
#ifndef ICCM_CLI_ARGUMENTS_H
#define ICCM_CLI_ARGUMENTS_H

#include <stdio.h>
#include <yyjson.h>

enum { ARGUMENTS_ERROR_SIZE = 256 };

/* No words: an empty object. One word that starts with {: that JSON object. "-": the JSON object that input
 * holds. Else each word is key=value; a value that is valid JSON is taken as JSON, any other as text.
 * Returns a new document, or NULL and one line in error. */
yyjson_mut_doc *arguments_parse(int count, char *const *words, FILE *input, char error[ARGUMENTS_ERROR_SIZE]);

#endif
