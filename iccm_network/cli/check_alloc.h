/* check_alloc.h: ends the program when an allocation fails. */
#ifndef ICCM_CLI_CHECK_ALLOC_H
#define ICCM_CLI_CHECK_ALLOC_H

/* Returns memory. If it is NULL, prints a message and ends the program with exit code 1. */
void *check_alloc(void *memory);

#endif
