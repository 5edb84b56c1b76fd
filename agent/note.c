/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/note.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/ntfs.h"
#include "agent/resolve.h"
#include "common/cleanup.h"
#include "common/io.h"

#define READER_S 10

void note_add(char *note, const char *fmt, ...)
{
	size_t n = strlen(note);
	va_list ap;

	n += (size_t)snprintf(note + n, NOTE_MAX - n, "%s", n ? "; " : "");
	if (n >= NOTE_MAX)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(note + n, NOTE_MAX - n, fmt, ap);
	va_end(ap);
}

bool note_is_hibernated(int root_fd)
{
	CLEANUP_CLOSE int fd = resolve_open(root_fd, NTFS_HIBERNATION_FILE, O_RDONLY | O_NONBLOCK | O_NOATIME);
	uint8_t head[NTFS_HIBERNATION_HEAD];

	return fd >= 0 && io_pread_full(fd, head, sizeof(head), 0) == 0 && ntfs_says_hibernated(head);
}

static void read_and_exit(const char *dev)
{
	struct ntfs *n;

	(void)signal(SIGALRM, SIG_DFL);
	(void)alarm(READER_S);
	_exit(ntfs_open(dev, &n) == 0 && ntfs_is_hibernated(n));
}

bool note_is_hibernated_unmounted(const char *dev)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		read_and_exit(dev);
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 1;
}
