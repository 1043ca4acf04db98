/* logline.h: a row of Godot's log as one line for people. */
#ifndef ICCM_CLI_LOGLINE_H
#define ICCM_CLI_LOGLINE_H

#include "print.h"

/* The string value of a member; "": not a string. Borrowed from the row. */
const char *logline_string(yyjson_val *row, const char *name);

/* Prints a time in Godot's format as "2026-11-21 07:24:07.123". */
void logline_time(const print_t *print, const char *time);

/* Prints time (UTC, to the millisecond), level, component and message, then trace id and data if present; in
 * the colour of the level if colours are enabled. Missing members are omitted. */
void logline_print(const print_t *print, yyjson_val *row);

/* Prints a non-empty array of rows, oldest first; the array may be in either order. False: rows is something
 * else; nothing was printed. */
bool logline_print_all(const print_t *print, yyjson_val *rows);

/* Starts the colour of a level; print_plain() ends it. An unknown level has no colour. */
void logline_colour(const print_t *print, const char *level);

#endif
