/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/session/holder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <jansson.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "host/session/state.h"

#define PROC_STATUS_MAX 65536

static pid_t named_pid(int dir, const char *file)
{
	CLEANUP_FREE char *text = NULL;
	json_int_t pid = 0;
	size_t len;
	json_t *j;

	if (io_read_file(dir, file, STATE_LIVE_MAX, &text, &len) < 0)
		return 0;
	j = json_loadb(text, len, 0, NULL);
	pid = json_integer_value(json_object_get(j, "pid"));
	json_decref(j);
	return pid > 1 && pid <= INT_MAX ? (pid_t)pid : 0;
}

/* Lines of /proc/locks: "12: FLOCK  ADVISORY  WRITE 4711 00:1a:815 0 EOF". */
static bool holds_lock(pid_t pid, ino_t ino)
{
	FILE *f = fopen("/proc/locks", "re");
	char line[256];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		uint64_t inode;
		int holder;

		found = sscanf(line, "%*s FLOCK ADVISORY WRITE %d %*x:%*x:%" SCNu64, &holder, &inode) == 2 && holder == pid &&
			inode == ino;
	}
	if (f)
		(void)fclose(f);
	return found;
}

static bool is_ours(pid_t pid)
{
	CLEANUP_FREE char *text = NULL;
	const char *line;
	char path[64];
	unsigned int uid;
	size_t len;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (io_read_file(AT_FDCWD, path, PROC_STATUS_MAX, &text, &len) < 0)
		return false;
	line = strstr(text, "\nUid:");
	return line && sscanf(line, "\nUid: %u", &uid) == 1 && uid == geteuid();
}

int holder_open(int dir, const char *hash)
{
	char file[STATE_NAME_MAX + 1];
	CLEANUP_CLOSE int fd = -1;
	struct stat st;
	pid_t pid;

	(void)snprintf(file, sizeof(file), "%s.live", hash);
	pid = named_pid(dir, file);
	if (!pid || fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -ENOENT;
	/* First the descriptor, then the questions: the answers are of the process that it stands for. */
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return errno == ESRCH ? -ENOENT : -errno;
	if (!is_ours(pid))
		return -EPERM;
	return holds_lock(pid, st.st_ino) ? TAKE_FD(fd) : -ESRCH;
}

int holder_signal(int pidfd, int sig)
{
	return syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0) < 0 ? -errno : 0;
}
