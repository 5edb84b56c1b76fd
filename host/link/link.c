/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/link/link.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/wire.h"

int link_send(int fd, const struct link_msg *m, const int *fds, size_t nr_fds)
{
	return io_send_msg(fd, m, sizeof(*m), fds, nr_fds);
}

/* A bool from outside is looked at as a byte: any value but 0 and 1 would be undefined behaviour. */
static bool bool_ok(const bool *p)
{
	uint8_t v;

	memcpy(&v, p, 1);
	return v <= 1;
}

/* Checks the shape; how many descriptors must come with it goes to @ret_nr_fds. */
static int check(const struct link_msg *m, size_t *ret_nr_fds)
{
	*ret_nr_fds = 0;
	switch (m->type) {
	case LINK_SETUP:
		if (m->setup.nr_slots > LINK_DISKS_MAX)
			return -EPROTO;
		*ret_nr_fds = LINK_SETUP_FDS + m->setup.nr_slots;
		return 0;
	case LINK_DISK:
		if (m->slot >= LINK_DISKS_MAX || !bool_ok(&m->disk.raw))
			return -EPROTO;
		*ret_nr_fds = m->disk.raw;
		return 0;
	case LINK_UNIT:
		return m->slot < LINK_DISKS_MAX && bool_ok(&m->unit.zero) && m->unit.code <= 0 ? 0 : -EPROTO;
	case LINK_WANT:
	case LINK_URGE:
		return m->slot < LINK_DISKS_MAX && bool_ok(&m->want.prefetch) ? 0 : -EPROTO;
	case LINK_IOERR:
		return m->slot < LINK_DISKS_MAX ? 0 : -EPROTO;
	case LINK_FATAL:
		return memchr(m->fatal.text, 0, sizeof(m->fatal.text)) ? 0 : -EPROTO;
	case LINK_CLIENT:
		*ret_nr_fds = 1;
		return 0;
	case LINK_WORK:
		return m->work.port & WIRE_WORK_PORT && bool_ok(&m->work.begins) ? 0 : -EPROTO;
	case LINK_STOP:
	case LINK_PING:
	case LINK_PONG:
	case LINK_READY:
	case LINK_AGENT:
	case LINK_CLIENT_FAILED:
	case LINK_CLIENT_DONE:
		return 0;
	}
	return -EPROTO;
}

int link_recv(int fd, struct link_msg *ret, int *ret_fds, size_t max_fds, size_t *ret_nr_fds)
{
	struct link_msg m;
	int fds[IO_FDS_MAX];
	size_t nr = 0, want = 0;
	ssize_t n;

	n = io_recv_msg(fd, &m, sizeof(m), fds, IO_FDS_MAX, &nr);
	if (n == 0 && nr == 0)
		return 0;
	if (n == -EMSGSIZE)
		return -EPROTO;
	if (n < 0)
		return (int)n;
	if ((size_t)n != sizeof(m) || check(&m, &want) < 0 || nr != want || nr > max_fds) {
		for (size_t i = 0; i < nr; i++)
			(void)close(fds[i]);
		return -EPROTO;
	}
	*ret = m;
	if (nr)
		memcpy(ret_fds, fds, nr * sizeof(int));
	if (ret_nr_fds)
		*ret_nr_fds = nr;
	return 1;
}
