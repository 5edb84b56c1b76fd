/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KMSG_H
#define AGENT_KMSG_H

/* What the kernel said about a mount that failed. */

#include <stddef.h>

#define KMSG_MAX 400

/** kmsg_open() - start to listen. Return: a descriptor; -1. */
int kmsg_open(void);

/** kmsg_read() - the first lines since then, joined by "; ". @ret: a string, empty if there are none. */
void kmsg_read(int fd, char *ret, size_t room);

#endif
