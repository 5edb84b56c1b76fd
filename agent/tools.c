/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/tools.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/disk.h"
#include "common/cleanup.h"
#include "common/io.h"

#define CPU_LIMIT_S 300

/* The disk whose serial says that it is the tools image: "vdX" in @ret. */
static int find_disk(char *ret, size_t room)
{
	CLEANUP_DIR DIR *dir = opendir("/sys/block");
	struct dirent *de;

	if (!dir)
		return -errno;
	while ((de = readdir(dir))) {
		CLEANUP_FREE char *serial = NULL;
		char path[300];
		size_t len;

		if (strncmp(de->d_name, "vd", 2))
			continue;
		(void)snprintf(path, sizeof(path), "%s/serial", de->d_name);
		if (io_read_file(dirfd(dir), path, 64, &serial, &len) < 0)
			continue;
		serial[strcspn(serial, "\n")] = 0;
		if (strcmp(serial, WIRE_SERIAL_TOOLS))
			continue;
		return snprintf(ret, room, "/dev/%s", de->d_name) < (int)room ? 0 : -ENAMETOOLONG;
	}
	return -ENODEV;
}

static const struct {
	const char *from, *to, *type;
	unsigned long flags;
} inside[] = {
	{ "proc", TOOLS_ROOT "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC },
	{ "sysfs", TOOLS_ROOT "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY },
	{ "devtmpfs", TOOLS_ROOT "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC },
	{ "tmpfs", TOOLS_ROOT "/run", "tmpfs", MS_NOSUID | MS_NODEV },
	{ "tmpfs", TOOLS_ROOT "/tmp", "tmpfs", MS_NOSUID | MS_NODEV },
	{ "/mnt", TOOLS_ROOT "/mnt", NULL, MS_BIND | MS_REC },
};

int tools_mount(const struct agent *a, struct err *err)
{
	CLEANUP_CLOSE int lock = disk_lock(a, "tools", err);
	char disk[64];
	int r;

	if (lock < 0)
		return lock;
	if (!access(TOOLS_ROOT "/usr", F_OK))
		return 0;
	r = find_disk(disk, sizeof(disk));
	if (r < 0)
		return err_text(err, r, "this VM has no tools image");
	if (mkdir(TOOLS_ROOT, 0755) < 0 && errno != EEXIST)
		return err_set(err, -errno, "make %s", TOOLS_ROOT);
	/* Volumes mounted later are to be seen inside: the bind below must share. */
	(void)mount(NULL, "/", NULL, MS_SHARED | MS_REC, NULL);
	if (mount(disk, TOOLS_ROOT, "erofs", MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0)
		return err_set(err, -errno, "mount the tools image");
	for (size_t i = 0; i < sizeof(inside) / sizeof(*inside); i++) {
		if (mount(inside[i].from, inside[i].to, inside[i].type, inside[i].flags, NULL) < 0) {
			r = err_set(err, -errno, "mount %s", inside[i].to);
			(void)umount2(TOOLS_ROOT, MNT_DETACH);
			return r;
		}
	}
	return 0;
}

static int split_args(char *args, size_t len, char *argv[static TOOLS_ARGS_MAX + 1])
{
	size_t nr = 0;

	for (size_t at = 0; at < len; at += strlen(args + at) + 1) {
		if (nr == TOOLS_ARGS_MAX)
			return -EINVAL;
		argv[nr++] = args + at;
	}
	argv[nr] = NULL;
	return nr && *argv[0] ? 0 : -EINVAL;
}

static _Noreturn void run_child(char *const argv[], int out)
{
	char *env[] = { "PATH=/usr/bin:/usr/sbin", "HOME=/tmp", "LC_ALL=C.UTF-8", "TERM=dumb", NULL };
	const struct rlimit cpu = { CPU_LIMIT_S, CPU_LIMIT_S };
	int null;

	(void)setsid();
	(void)setrlimit(RLIMIT_CPU, &cpu);
	if (chroot(TOOLS_ROOT) < 0 || chdir("/") < 0)
		_exit(126);
	null = open("/dev/null", O_RDONLY);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(126);
	(void)signal(SIGPIPE, SIG_DFL);
	environ = env;
	(void)execvp(argv[0], argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

int tools_start(const struct agent *a, const char *args, size_t len, struct tools_proc *ret, struct err *err)
{
	char copy[TOOLS_ARGS_BYTES_MAX + 1];
	char *argv[TOOLS_ARGS_MAX + 1];
	CLEANUP_CLOSE int in = -1;
	int out[2];
	pid_t pid;
	int r;

	if (!len || len > TOOLS_ARGS_BYTES_MAX)
		return err_text(err, -EINVAL, "no command, or one of more than %d bytes", TOOLS_ARGS_BYTES_MAX);
	memcpy(copy, args, len);
	copy[len] = 0;
	if (split_args(copy, len, argv) < 0)
		return err_text(err, -EINVAL, "no command, or one of more than %d words", TOOLS_ARGS_MAX);
	r = tools_mount(a, err);
	if (r < 0)
		return r;
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_set(err, -errno, "pipe");
	in = out[1];
	pid = fork();
	if (pid < 0) {
		r = err_set(err, -errno, "fork");
		(void)close(out[0]);
		return r;
	}
	if (!pid)
		run_child(argv, in);
	*ret = (struct tools_proc){ .pid = pid, .out = out[0] };
	return 0;
}

void tools_kill(const struct tools_proc *p)
{
	(void)kill(p->pid, SIGKILL);
}

int tools_wait(struct tools_proc *p)
{
	int status;

	(void)close(p->out);
	p->out = -1;
	while (waitpid(p->pid, &status, 0) < 0)
		if (errno != EINTR)
			return 126;
	/* Its group: what it started in the background goes too. */
	(void)kill(-p->pid, SIGKILL);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
