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

static int locate_by_scan(struct agent_disk *d, struct err *err)
{
	CLEANUP_DIR DIR *dir = opendir("/sys/block");
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		if (strncmp(e->d_name, "vd", 2) != 0 || strlen(e->d_name) >= sizeof(d->dev))
			continue;
		if (!serial_is(e->d_name, d->slot))
			continue;
		strcpy(d->dev, e->d_name);
		return 0;
	}
	return err_text(err, -ENODEV, "disk '%s' is not in the VM", d->name);
}

int disk_locate(struct agent_disk *d, struct err *err)
{
	char guess[AGENT_DEV_MAX];

	if (d->dev[0])
		return 0;
	if (d->slot < 26) {
		(void)snprintf(guess, sizeof(guess), "vd%c", (char)('a' + d->slot));
		if (serial_is(guess, d->slot)) {
			strcpy(d->dev, guess);
			return 0;
		}
	}
	return locate_by_scan(d, err);
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
