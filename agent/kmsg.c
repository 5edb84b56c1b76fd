/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/kmsg.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

#define LINES_MAX 3

int kmsg_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		(void)lseek(fd, 0, SEEK_END);
	return fd;
}

void kmsg_read(int fd, char *ret, size_t room)
{
	char record[2048], quoted[256], last[256] = "";
	size_t at = 0;

	ret[0] = 0;
	for (int i = 0; i < LINES_MAX && fd >= 0; i++) {
		ssize_t n = read(fd, record, sizeof(record) - 1);	/* one record: "prio,seq,time,flags;text\n" */
		char *text, *end;

		if (n <= 0)
			return;
		record[n] = 0;
		text = strchr(record, ';');
		if (!text)
			continue;
		end = strchr(++text, '\n');
		log_quote(text, end ? (size_t)(end - text) : strlen(text), quoted, sizeof(quoted));
		if (!strcmp(quoted, last))
			continue;	/* the next attempt failed alike */
		strcpy(last, quoted);
		at += (size_t)snprintf(ret + at, room - at, "%s%s", at ? "; " : "", quoted);
		if (at >= room)
			return;
	}
}
