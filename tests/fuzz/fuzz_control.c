/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a session answers on its socket, frame by frame; and the requests it gets. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/session/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct control_request rq;
	struct control_header h;
	char *payload;
	int pair[2];

	if (len >= sizeof(rq)) {
		memcpy(&rq, data, sizeof(rq));
		(void)control_check_request(&rq);
	}
	if (len > 60000)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 || (len && send(pair[1], data, len, MSG_NOSIGNAL) < 0))
		abort();
	(void)shutdown(pair[1], SHUT_WR);
	while (control_recv(pair[0], 1000, &h, &payload) == 0) {
		if (payload[h.length])
			abort();
		free(payload);
	}
	(void)close(pair[0]);
	(void)close(pair[1]);
	return 0;
}
