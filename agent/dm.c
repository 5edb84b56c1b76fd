/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/dm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <linux/dm-ioctl.h>

#include "common/cleanup.h"

#define PARAMS_MAX 64

/* An ioctl's head with room for a table behind it. */
struct call {
	struct dm_ioctl head;
	struct {
		struct dm_target_spec spec;
		char params[PARAMS_MAX];
	} target[DM_PIECES_MAX];
};

static int run(int control, unsigned long what, const char *name, uint32_t flags, struct call *c)
{
	c->head.version[0] = DM_VERSION_MAJOR;
	c->head.data_size = sizeof(*c);
	c->head.data_start = offsetof(struct call, target);
	c->head.flags = flags;
	(void)snprintf(c->head.name, sizeof(c->head.name), "%s", name);
	return ioctl(control, what, c) < 0 ? -errno : 0;
}

static int load(int control, const char *name, const struct dm_piece *v, size_t nr)
{
	struct call c = { .head.target_count = (uint32_t)nr };
	uint64_t at = 0;

	for (size_t i = 0; i < nr; i++) {
		c.target[i].spec.sector_start = at;
		c.target[i].spec.length = v[i].sectors;
		c.target[i].spec.next = sizeof(c.target[i]);
		strcpy(c.target[i].spec.target_type, "linear");
		(void)snprintf(c.target[i].params, PARAMS_MAX, "/dev/%s %llu", v[i].dev, (unsigned long long)v[i].start);
		if (__builtin_add_overflow(at, v[i].sectors, &at))
			return -ERANGE;
	}
	return run(control, DM_TABLE_LOAD, name, DM_READONLY_FLAG, &c);
}

int dm_join(const char *name, const struct dm_piece *v, size_t nr, char *ret)
{
	CLEANUP_CLOSE int control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	struct call c = { 0 };
	int r;

	if (control < 0)
		return -errno;
	if (!nr || nr > DM_PIECES_MAX)
		return -EINVAL;
	r = run(control, DM_DEV_CREATE, name, 0, &c);
	if (r < 0)
		return r == -EBUSY ? -EEXIST : r;
	(void)snprintf(ret, AGENT_DEV_MAX, "dm-%u", minor(c.head.dev));
	r = load(control, name, v, nr);
	if (r == 0) {
		c = (struct call){ 0 };
		r = run(control, DM_DEV_SUSPEND, name, 0, &c);	/* without its flag: resume */
	}
	if (r < 0) {
		c = (struct call){ 0 };
		(void)run(control, DM_DEV_REMOVE, name, 0, &c);
	}
	return r;
}
