/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/io.h"

#define ATTR_MAX 4096
#define LOCK_STEP_MS 20
#define INSERT_WAIT_S 30
#define INSERT_STEP_MS 2

static int sys_read(const char *dev, const char *attr, char **ret, size_t *ret_len)
{
	char path[128];

	if (snprintf(path, sizeof(path), "/sys/class/block/%s/%s", dev, attr) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return io_read_file(AT_FDCWD, path, ATTR_MAX, ret, ret_len);
}

int disk_sys_u64(const char *dev, const char *attr, uint64_t *ret)
{
	CLEANUP_FREE char *text = NULL;
	uint64_t v;
	size_t len;
	int r = sys_read(dev, attr, &text, &len);

	if (r < 0)
		return r;
	if (sscanf(text, "%" SCNu64, &v) != 1)
		return -EBADMSG;
	*ret = v;
	return 0;
}

int disk_size(const char *dev, uint64_t *ret)
{
	uint64_t sectors;
	int r = disk_sys_u64(dev, "size", &sectors);

	if (r < 0)
		return r;
	if (__builtin_mul_overflow(sectors, UINT64_C(512), ret))
		return -ERANGE;
	return 0;
}

static bool serial_is(const char *dev, unsigned int slot)
{
	CLEANUP_FREE char *text = NULL;
	char want[32];
	size_t len;

	(void)snprintf(want, sizeof(want), WIRE_SERIAL_FMT, slot);
	if (sys_read(dev, "serial", &text, &len) < 0)
		return false;
	return !strncmp(text, want, strlen(want)) && (len == strlen(want) || text[strlen(want)] == '\n');
}

struct agent_disk *disk_find(struct agent *a, const char *name, size_t len)
{
	const size_t suffix = strlen(WIRE_DISK_SUFFIX);

	for (int cut = 0; cut < 2; cut++) {
		for (size_t i = 0; i < a->nr_disks; i++)
			if (strlen(a->disk[i].name) == len && !memcmp(a->disk[i].name, name, len))
				return &a->disk[i];
		if (len <= suffix || memcmp(name + len - suffix, WIRE_DISK_SUFFIX, suffix) != 0)
			return NULL;
		len -= suffix;
	}
	return NULL;
}

static bool locate_by_scan(struct agent_disk *d)
{
	CLEANUP_DIR DIR *dir = opendir("/sys/block");
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		if (strncmp(e->d_name, "vd", 2) != 0 || strlen(e->d_name) >= sizeof(d->dev) || !serial_is(e->d_name, d->slot))
			continue;
		strcpy(d->dev, e->d_name);
		return true;
	}
	return false;
}

/* The kernel's names are in the order of the slots, as a rule. */
static bool locate_by_order(struct agent_disk *d)
{
	char guess[AGENT_DEV_MAX];

	(void)snprintf(guess, sizeof(guess), "vd%.*s%c", d->slot >= 26, (char[]){ (char)('a' - 1 + d->slot / 26 % 27), 0 },
		       (char)('a' + d->slot % 26));
	if (!serial_is(guess, d->slot))
		return false;
	strcpy(d->dev, guess);
	return true;
}

void disk_locate_early(struct agent *a)
{
	for (size_t i = 0; i < a->nr_disks; i++)
		(void)locate_by_order(&a->disk[i]);
}

int disk_locate(struct agent_disk *d, struct err *err)
{
	const struct timespec nap = { .tv_nsec = INSERT_STEP_MS * 1000000L };
	uint64_t size = 0;

	for (int waited = 0; !d->dev[0] && waited < INSERT_WAIT_S * 1000; waited += INSERT_STEP_MS) {
		if (waited)
			(void)nanosleep(&nap, NULL);
		if (!locate_by_order(d) && !locate_by_scan(d))
			continue;
		/* the kernel learns of its size a little later */
		if (disk_size(d->dev, &size) < 0 || !size)
			d->dev[0] = 0;
	}
	return d->dev[0] ? 0 : err_text(err, -ENODEV, "disk '%s' is not in the VM", d->name);
}

int disk_open(const char *dev)
{
	char path[AGENT_DEV_MAX + 8];
	int fd;

	(void)snprintf(path, sizeof(path), "/dev/%s", dev);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int disk_lock(const struct agent *a, const char *dev, struct err *err)
{
	CLEANUP_CLOSE int fd = -1;
	char path[512];

	if (snprintf(path, sizeof(path), "%s/%s", a->lock_dir, dev) >= (int)sizeof(path))
		return err_set(err, -ENAMETOOLONG, "lock of %s", dev);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(err, -errno, "lock of %s", dev);
	for (int waited = 0; waited < LOCK_WAIT_S * 1000; waited += LOCK_STEP_MS) {
		const struct timespec ts = { .tv_nsec = LOCK_STEP_MS * 1000000L };

		if (!flock(fd, LOCK_EX | LOCK_NB))
			return TAKE_FD(fd);
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_set(err, -errno, "lock of %s", dev);
		(void)nanosleep(&ts, NULL);
	}
	return err_text(err, -ETIMEDOUT, "another request has been opening %s for more than %d s", dev, LOCK_WAIT_S);
}
