/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/vm/children.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"

#define NAP_MS 2

/* "4711 (any name) S PPID ...": the name may hold anything. */
static pid_t parent_of(int proc, const char *pid)
{
	CLEANUP_CLOSE int fd = -1;
	char path[32], text[512];
	const char *at;
	int parent = 0;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%.16s/stat", pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = 0;
	at = strrchr(text, ')');
	return at && sscanf(at, ") %*c %d", &parent) == 1 ? parent : 0;
}

static void kill_all(void)
{
	CLEANUP_DIR DIR *d = opendir("/proc");
	const pid_t self = getpid();
	const struct dirent *de;

	while (d && (de = readdir(d)))
		if (de->d_name[0] >= '1' && de->d_name[0] <= '9' && parent_of(dirfd(d), de->d_name) == self)
			(void)kill((pid_t)atoi(de->d_name), SIGKILL);
}

void children_end(int ms, pid_t pid, int *ret_status)
{
	const struct timespec nap = { .tv_nsec = NAP_MS * 1000000 };

	for (int waited = 0; ms < 0 || waited < ms; waited += NAP_MS) {
		int status;
		pid_t r;

		while ((r = waitpid(-1, &status, WNOHANG)) > 0)
			if (r == pid && ret_status)
				*ret_status = status;
		if (r < 0 && errno != EINTR)
			return;
		/* Again and again: the end of one makes its children ours. */
		kill_all();
		(void)nanosleep(&nap, NULL);
	}
}
