/* beneath.h: opens files that callers name, below directories that the operator allows, and nowhere else. */
#ifndef DEWEY_BENEATH_H
#define DEWEY_BENEATH_H

#include <stdbool.h>
#include <stddef.h>

/* Directories as "/a:/b/c", absolute each. False: one of them is not, or nothing stands between two colons.
 */
bool beneath_valid(const char *directories);

/* Opens path, absolute, for reading, where one of the directories is its beginning; what is below the
 * directory may lead through links only as far as they stay below. A descriptor of a regular file, or: -EXDEV
 * it is not below any of them, or leads out of the one that it is below -EISDIR  it is no regular file; a
 * fifo or device is not waited for another  as open(2) says */
int beneath_open(const char *directories, const char *path);

/* Both opens of the part below a directory: by the kernel's own rule, and, where it has none (-ENOSYS,
 * -EPERM), step by step, which follows no link at all. */
int beneath_resolve(int directory, const char *path);
int beneath_walk(int directory, const char *path);

#endif
