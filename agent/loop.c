/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <linux/loop.h>

#include "agent/agent.h"
#include "agent/disk.h"
#include "common/cleanup.h"

#define TRIES 8		/* another worker may take the number that we were given */

static int configure(int control, int backing, char *ret)
{
	struct loop_config config = { .fd = (uint32_t)backing,
				      .info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR };
	CLEANUP_CLOSE int fd = -1;
	char path[AGENT_DEV_MAX];
	int nr = ioctl(control, LOOP_CTL_GET_FREE);

	if (nr < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "/dev/loop%d", nr);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, LOOP_CONFIGURE, &config) < 0)
		return -errno;
	(void)snprintf(ret, AGENT_DEV_MAX, "loop%d", nr);
	return TAKE_FD(fd);
}

int loop_attach_fd(int backing, char *ret)
{
	CLEANUP_CLOSE int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int fd = -EBUSY;

	if (control < 0)
		return -errno;
	for (int i = 0; i < TRIES && fd == -EBUSY; i++)
		fd = configure(control, backing, ret);
	return fd;
}

int loop_attach(const char *dev, char *ret)
{
	CLEANUP_CLOSE int backing = disk_open(dev);

	return backing < 0 ? backing : loop_attach_fd(backing, ret);
}
