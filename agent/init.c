/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/work.h"
#include "common/cleanup.h"
#include "common/hex.h"
#include "common/io.h"
#include "common/log.h"

#define FW_CFG_MAX 65536

static const struct {
	const char *type, *at, *options;
	unsigned long flags;
} mounts[] = {
	{ "proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
	{ "sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
	{ "devtmpfs", "/dev", "mode=0755", MS_NOSUID | MS_NOEXEC },
	{ "tmpfs", "/run", "mode=0755,size=1m", MS_NOSUID | MS_NODEV | MS_NOEXEC },
};

static void open_console(void)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return;
	for (int i = 0; i < 3; i++)
		if (fd != i)
			(void)dup2(fd, i);
	if (fd > 2)
		(void)close(fd);
}

static void write_setting(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, value, strlen(value));
	(void)close(fd);
}

int init_setup(struct err *err)
{
	for (size_t i = 0; i < sizeof(mounts) / sizeof(*mounts); i++) {
		(void)mkdir(mounts[i].at, 0755);
		if (mount(mounts[i].type, mounts[i].at, mounts[i].type, mounts[i].flags, mounts[i].options) < 0 &&
		    errno != EBUSY)
			return err_set(err, -errno, "mount %s", mounts[i].at);
	}
	open_console();
	if ((mkdir("/mnt", 0755) < 0 && errno != EEXIST) || mkdir("/run/lock", 0755) < 0)
		return err_set(err, -errno, "make /mnt and /run/lock");
	/* vsock packets are contiguous 64 KiB: keep some memory free for them */
	write_setting("/proc/sys/vm/min_free_kbytes", "4096");
	return 0;
}

static bool is_hex(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (hex_digit(s[i]) < 0)
			return false;
	return true;
}

static int parse_line(struct agent *a, const char *line, size_t len)
{
	struct agent_disk *d = &a->disk[a->nr_disks];
	unsigned int slot = 0;

	if (a->nr_disks == AGENT_DISKS_MAX || len < 6 || line[4] != ' ' || len - 5 > WIRE_DISK_NAME_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < 4; i++) {
		if (line[i] < '0' || line[i] > '9')
			return -EBADMSG;
		slot = slot * 10 + (unsigned int)(line[i] - '0');
	}
	if (memchr(line, 0, len) || memchr(line, '/', len) || (a->nr_disks && slot <= d[-1].slot))
		return -EBADMSG;
	*d = (struct agent_disk){ .slot = slot };
	memcpy(d->name, line + 5, len - 5);
	a->nr_disks++;
	return 0;
}

int init_parse_disks(struct agent *a, const char *text, size_t len)
{
	while (len) {
		const char *lf = memchr(text, '\n', len);

		if (!lf || parse_line(a, text, (size_t)(lf - text)) < 0)
			return -EBADMSG;
		len -= (size_t)(lf + 1 - text);
		text = lf + 1;
	}
	return 0;
}

static int take_number(const char *value, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(value, &end, 10);
	return value[0] >= '1' && value[0] <= '9' && !*end && !errno ? 0 : -EBADMSG;
}

static int take_text(const char *value, char *ret, size_t room)
{
	return value[0] && snprintf(ret, room, "%s", value) < (int)room ? 0 : -EBADMSG;
}

static int parse_mount_line(struct agent_mount *m, char *line)
{
	char *value = strchr(line, ' ');

	if (!value)
		return -EBADMSG;
	*value++ = 0;
	if (!strcmp(line, "fs-type"))
		return take_text(value, m->fs_type, sizeof(m->fs_type));
	if (!strcmp(line, "fs-allow"))
		return take_text(value, m->fs_allow, sizeof(m->fs_allow));
	if (!strcmp(line, "superblock"))
		return take_number(value, &m->superblock_kib);
	if (!strcmp(line, "checkpoint"))
		return take_number(value, &m->checkpoint);
	return strcmp(line, "codepage") ? -EBADMSG : take_number(value, &m->codepage);
}

int init_parse_mount(struct agent_mount *m, const char *text, size_t len)
{
	char copy[WIRE_MOUNT_MAX + 1], *line = copy;
	size_t left = len;

	if (len > WIRE_MOUNT_MAX || memchr(text, 0, len))
		return -EBADMSG;
	memcpy(copy, text, len);
	while (left) {
		char *lf = memchr(line, '\n', left);

		if (!lf)
			return -EBADMSG;
		*lf = 0;
		if (parse_mount_line(m, line) < 0)
			return -EBADMSG;
		left -= (size_t)(lf + 1 - line);
		line = lf + 1;
	}
	return 0;
}

static int parse_mount(struct agent *a, const char *text, size_t len)
{
	return init_parse_mount(&a->mount, text, len);
}

int init_parse_watchdog(struct agent *a, const char *text, size_t len)
{
	unsigned int v = 0;

	if (!len || len > 9)
		return -EBADMSG;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EBADMSG;
		v = v * 10 + (unsigned int)(text[i] - '0');
	}
	if (!v)
		return -EBADMSG;
	a->watchdog_s = v;
	return 0;
}

/* What the host need not give. Return: 0; negative errno. */
static int read_optional(struct agent *a, const char *path, int (*parse)(struct agent *, const char *, size_t),
			 struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t len;
	int r = io_read_file(AT_FDCWD, path, FW_CFG_MAX, &text, &len);

	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = parse(a, text, len);
	return r < 0 ? err_set(err, r, "read '%s'", path) : 0;
}

int init_read_fw_cfg(struct agent *a, struct err *err)
{
	CLEANUP_FREE char *ticket = NULL, *disks = NULL;
	size_t len;
	int r;

	r = io_read_file(AT_FDCWD, WIRE_FWCFG_TICKET_PATH, FW_CFG_MAX, &ticket, &len);
	if (r < 0)
		return err_set(err, r, "read the ticket from fw_cfg");
	if (len != WIRE_TICKET_HEX || !is_hex(ticket, len))
		return err_text(err, -EBADMSG, "the ticket in fw_cfg is not %d hexadecimal digits", WIRE_TICKET_HEX);
	memcpy(a->ticket, ticket, len);
	r = io_read_file(AT_FDCWD, WIRE_FWCFG_DISKS_PATH, FW_CFG_MAX, &disks, &len);
	if (r < 0)
		return err_set(err, r, "read the names of the disks from fw_cfg");
	if (init_parse_disks(a, disks, len) < 0)
		return err_text(err, -EBADMSG, "the names of the disks in fw_cfg are malformed");
	r = read_optional(a, WIRE_FWCFG_MOUNT_PATH, parse_mount, err);
	if (r == 0)
		r = read_optional(a, WIRE_FWCFG_LEFT_OUT_PATH, work_parse_left_out, err);
	return r < 0 ? r : read_optional(a, WIRE_FWCFG_WATCHDOG_PATH, init_parse_watchdog, err);
}

void init_poweroff(const char *reason)
{
	log_err("power off: %s", reason);
	/* booted with reboot=t and QEMU's -no-reboot, a restart ends the VM; microvm has no ACPI power button */
	(void)reboot(RB_AUTOBOOT);
	for (;;)
		(void)pause();
}
