/* fixture_internal.h: what the files of the fixture know of each other. */
#ifndef FIXTURE_INTERNAL_H
#define FIXTURE_INTERNAL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem, vasprintf */
#endif
#include "fixture.h"

void raw_clients_close(void); /* raw_client.c: all that are open, fakes, too */
void raw_clients_free(void);  /* once their handles are closed */

#endif
