/* fixture_internal.h: declarations shared by fixture.c and raw_client.c. */
#ifndef FIXTURE_INTERNAL_H
#define FIXTURE_INTERNAL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem, vasprintf */
#endif
#include "fixture.h"

void raw_clients_close(void); /* closes all raw clients and fake servers */
void raw_clients_free(void);  /* after their handles are closed */

#endif
