/* scene_parts.h: what the files of the scene know of each other. */
#ifndef SCENE_PARTS_H
#define SCENE_PARTS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem, vasprintf */
#endif
#include "scene.h"

void wires_close(void); /* wire.c: all that are open, traps, too */
void wires_free(void);  /* once their handles are closed */

#endif
