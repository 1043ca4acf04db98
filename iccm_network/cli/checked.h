/* checked.h: memory that a command cannot do without. */
#ifndef ICCM_CLI_CHECKED_H
#define ICCM_CLI_CHECKED_H

/* Ends the program with one line when memory is NULL, else returns it: a command has nothing better to do. */
void *checked(void *memory);

#endif
