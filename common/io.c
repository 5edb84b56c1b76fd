/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/cleanup.h"

/* @off: negative to read where the descriptor stands. */
static int read_all(int fd, void *p, size_t n, int64_t off)
{
	for (size_t done = 0; done < n;) {
		void *to = (char *)p + done;
		ssize_t r = off < 0 ? read(fd, to, n - done) : pread(fd, to, n - done, off + (off_t)done);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			return -ENODATA;
		done += (size_t)r;
	}
	return 0;
}

int io_read_full(int fd, void *p, size_t n)
{
	return read_all(fd, p, n, -1);
}

int io_pread_full(int fd, void *p, size_t n, uint64_t off)
{
	if (off > INT64_MAX || n > INT64_MAX - off)
		return -EOVERFLOW;
	return read_all(fd, p, n, (int64_t)off);
}

int io_write_full(int fd, const void *p, size_t n)
{
	while (n) {
		ssize_t r = write(fd, p, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		p = (const char *)p + r;
		n -= (size_t)r;
	}
	return 0;
}

int io_read_file(int dirfd, const char *name, size_t max, char **ret, size_t *ret_len)
{
	CLEANUP_CLOSE int fd = -1;
	CLEANUP_FREE char *data = NULL;
	size_t len = 0, room = 4096;

	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	for (;;) {
		char *more = realloc(data, room + 1);
		ssize_t r;

		if (!more)
			return -ENOMEM;
		data = more;
		r = read(fd, data + len, room - len);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		len += (size_t)r;
		if (len > max)
			return -EFBIG;
		if (len == room)
			room *= 2;
	}
	data[len] = 0;
	*ret = TAKE_PTR(data);
	*ret_len = len;
	return 0;
}

int io_send_msg(int fd, const void *p, size_t n, const int *fds, size_t nr_fds)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * IO_FDS_MAX)];
		struct cmsghdr align;
	} ctl;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)p, .iov_len = n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t r;

	if (nr_fds > IO_FDS_MAX)
		return -E2BIG;
	if (nr_fds) {
		struct cmsghdr *c;

		memset(&ctl, 0, sizeof(ctl));
		msg.msg_control = &ctl;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nr_fds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nr_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nr_fds);
	}
	do
		r = sendmsg(fd, &msg, MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	return (size_t)r == n ? 0 : -EMSGSIZE;
}

static size_t take_fds(struct msghdr *msg, int *fds, size_t max)
{
	size_t nr = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t got;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		got = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < got; i++) {
			int one;

			memcpy(&one, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (nr < max)
				fds[nr++] = one;
			else
				(void)close(one);
		}
	}
	return nr;
}

ssize_t io_recv_msg(int fd, void *p, size_t max, int *ret_fds, size_t max_fds, size_t *ret_nr_fds)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * IO_FDS_MAX)];
		struct cmsghdr align;
	} ctl;
	struct iovec iov = { .iov_base = p, .iov_len = max };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[IO_FDS_MAX];
	size_t nr;
	ssize_t r;

	if (max_fds > IO_FDS_MAX)
		max_fds = IO_FDS_MAX;
	msg.msg_control = &ctl;
	msg.msg_controllen = sizeof(ctl);
	do
		r = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	nr = take_fds(&msg, fds, IO_FDS_MAX);
	if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || nr > max_fds) {
		for (size_t i = 0; i < nr; i++)
			(void)close(fds[i]);
		return -EMSGSIZE;
	}
	if (nr)
		memcpy(ret_fds, fds, nr * sizeof(int));
	if (ret_nr_fds)
		*ret_nr_fds = nr;
	return r;
}

int io_set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}
