/* check_alloc.h: memory that a command cannot do without. */
#ifndef ICCM_CLI_CHECK_ALLOC_H
#define ICCM_CLI_CHECK_ALLOC_H

/* Ends the program with one line when memory is NULL, else returns it: a command has nothing better to do. */
void *check_alloc(void *memory);

#endif
