/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/work.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#include "common/cleanup.h"

#define LINE_BYTES 9	/* 8 digits and a line feed */

int work_parse_left_out(struct agent *a, const char *text, size_t len)
{
	for (; len; text += LINE_BYTES, len -= LINE_BYTES) {
		uint32_t port = 0;

		if (len < LINE_BYTES || text[LINE_BYTES - 1] != '\n' || a->nr_left_out == WIRE_LEFT_OUT_MAX)
			return -EBADMSG;
		for (size_t i = 0; i < LINE_BYTES - 1; i++) {
			static const char digits[] = "0123456789abcdef";
			const char *d = text[i] ? strchr(digits, text[i]) : NULL;

			if (!d)
				return -EBADMSG;
			port = port << 4 | (uint32_t)(d - digits);
		}
		a->left_out[a->nr_left_out++] = port;
	}
	return 0;
}

static bool listed(const struct agent *a, uint32_t port)
{
	for (size_t i = 0; i < a->nr_left_out; i++)
		if (a->left_out[i] == port)
			return true;
	return false;
}

bool work_is_left_out(const struct agent *a, const struct agent_disk *d, const char *volume)
{
	return listed(a, wire_work_port(d->slot, volume)) || listed(a, wire_work_port(d->slot, ""));
}

void work_end(struct agent *a)
{
	if (a->work_fd > 0)
		(void)close(a->work_fd);
	a->work_fd = 0;
}

int work_begin(struct agent *a, const struct agent_disk *d, const char *volume, struct err *err)
{
	const struct sockaddr_vm host = { .svm_family = AF_VSOCK, .svm_port = wire_work_port(d->slot, volume),
					  .svm_cid = VMADDR_CID_HOST };
	CLEANUP_CLOSE int fd = -1;

	work_end(a);
	if (work_is_left_out(a, d, volume))
		return err_text(err, -EUCLEAN, WORK_LEFT_OUT);
	if (!a->is_init)	/* run by hand: there is no host */
		return 0;
	/* A host that does not want to know does not keep us from working. */
	fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&host, sizeof(host)) == 0)
		a->work_fd = TAKE_FD(fd);
	return 0;
}
