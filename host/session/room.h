/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SESSION_ROOM_H
#define HOST_SESSION_ROOM_H

/*
 * Descriptors (RLIMIT_NOFILE) of a session. Callers get those that nothing else needs: a session that could open no chunk for want of one
 * would call good disks unreadable, and a device process that could not take one would end the VM.
 */

#include <stdbool.h>
#include <stdint.h>

/** room_raise() - as many as this user may have. */
void room_raise(void);

/** room_for_caller() - may one more be accepted? @fd: any open one. */
bool room_for_caller(int fd);

/** room_for_clients() - of how many the device process can take the descriptor, with so many disks. Return: at most WIRE_CONN_MAX; 0. */
uint32_t room_for_clients(uint32_t nr_disks);

#endif
