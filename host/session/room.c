/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/session/room.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/wire.h"

#define ROOM_SPARE 8			/* chunks that are read, the console's file */
#define ROOM_DEVICE 16			/* of the device process, without disks and clients; 12 were seen */
#define ROOM_DISK 7			/* for each of its disks; 6 were seen */

static rlim_t files_max(void)
{
	struct rlimit rl;

	return getrlimit(RLIMIT_NOFILE, &rl) < 0 ? 0 : rl.rlim_cur;
}

void room_raise(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < rl.rlim_max) {
		rl.rlim_cur = rl.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
}

/* The kernel gives the lowest one that is free: if that is far from the end, many are. */
bool room_for_caller(int fd)
{
	int next = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (next < 0)
		return false;
	(void)close(next);
	return (rlim_t)next + ROOM_SPARE < files_max();
}

uint32_t room_for_clients(uint32_t nr_disks)
{
	const rlim_t max = files_max(), used = ROOM_DEVICE + (rlim_t)ROOM_DISK * nr_disks;

	if (max <= used)
		return 0;
	return max - used < WIRE_CONN_MAX ? (uint32_t)(max - used) : WIRE_CONN_MAX;
}
