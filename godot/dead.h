/* dead.h: `godot-worker dead list|replay|discard [N]`. */
#ifndef GODOT_DEAD_H
#define GODOT_DEAD_H

/* argv begins with "dead". Answers the status to exit with. */
int dead_main(int argc, char **argv);

#endif
