/* logline.h: a row of Godot's log as one line for people. */
#ifndef ICCM_CLI_LOGLINE_H
#define ICCM_CLI_LOGLINE_H

#include "print.h"

/* The text of a member; "" where it is none. Borrowed from the row. */
const char *logline_string(yyjson_val *row, const char *name);

/* A time as Godot writes it, as "2026-11-21 07:24:07.123". */
void logline_time(const print_t *print, const char *time);

/* Time (UTC, to the millisecond), level, component, message, then trace id and data where there are such;
 * coloured by level where there are colours. What a row lacks is left out. */
void logline_print(const print_t *print, yyjson_val *row);

/* The lines of a non-empty array of such rows, the newest first or last, oldest first; false, and nothing
 * printed, where rows is something else. */
bool logline_print_all(const print_t *print, yyjson_val *rows);

/* Between these text has the colour of a level; a level that is unknown has none. */
void logline_colour(const print_t *print, const char *level);

#endif
