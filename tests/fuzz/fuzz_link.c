/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages between session and device. Each: a byte with the count of descriptors, then a message or what is left of one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/io.h"
#include "host/link/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	int pair[2], fds[IO_FDS_MAX], got[IO_FDS_MAX];
	struct link_msg m;
	size_t nr;

	for (size_t i = 0; i < IO_FDS_MAX; i++)
		fds[i] = STDERR_FILENO;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		abort();
	while (len > 1) {
		size_t n = len - 1 < sizeof(m) ? len - 1 : sizeof(m);

		if (io_send_msg(pair[1], data + 1, n, fds, data[0] % (IO_FDS_MAX + 1)) < 0)
			abort();
		nr = 0;
		if (link_recv(pair[0], &m, got, data[0] & 0x80 ? 2 : IO_FDS_MAX, &nr) == 1)
			while (nr)
				(void)close(got[--nr]);
		data += 1 + n;
		len -= 1 + n;
	}
	nr = (size_t)dup(STDERR_FILENO);
	(void)close((int)nr);
	if (nr > 60)
		abort();	/* descriptors leak */
	(void)close(pair[0]);
	(void)close(pair[1]);
	return 0;
}
