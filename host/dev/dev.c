/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/dev/dev.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "host/dev/blk/blk.h"
#include "host/dev/sandbox.h"
#include "host/dev/vsock/vsock.h"
#include "host/link/link.h"

#define THREADS_MORE 24u		/* for reads, beside one of each disk; they are divided */

/* The device process as a whole. It lives as long as the process, so its end is the process's end. */
struct dev {
	struct loop loop;
	struct uplink up;
	struct loop_src link;
	struct vu_ram ram;
	struct cache cache;
	struct blk_shared shared;
	struct blk *blk;
	struct pool *pools;		/* of each disk */
	uint32_t nr_blk;
	struct vsock vsock;
};

static void want(void *arg, uint32_t disk, uint64_t unit, uint32_t slot, bool prefetch)
{
	struct dev *d = arg;
	struct link_msg m = { .type = LINK_WANT, .slot = disk };

	m.want.unit = unit;
	m.want.cache_slot = slot;
	m.want.prefetch = prefetch;
	uplink_send(&d->up, &m);
}

static void urge(void *arg, uint32_t disk, uint64_t unit, uint32_t slot)
{
	struct dev *d = arg;
	struct link_msg m = { .type = LINK_URGE, .slot = disk };

	m.want.unit = unit;
	m.want.cache_slot = slot;
	uplink_send(&d->up, &m);
}

static int map_ram(struct dev *d, int fd, uint64_t size, struct err *err)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	void *p;

	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "guest memory");
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || !size || (uint64_t)st.st_size != size)
		return err_text(err, -EPROTO, "guest memory: not a sealed memfd of %llu bytes", (unsigned long long)size);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return err_set(err, -errno, "guest memory: mmap");
	(void)madvise(p, size, MADV_DONTDUMP);
	d->ram = (struct vu_ram){ .base = p, .size_bytes = size, .dev = st.st_dev, .ino = st.st_ino };
	return 0;
}

static int map_cache(struct dev *d, int fd, uint32_t nr_slots, uint64_t slot_bytes, struct err *err)
{
	struct stat st;
	uint64_t size;
	void *p = NULL;

	if (__builtin_mul_overflow(slot_bytes, nr_slots, &size) || size > INT64_MAX)
		return err_text(err, -EPROTO, "cache: size");
	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "cache");
	if ((uint64_t)st.st_size < size)
		return err_text(err, -EPROTO, "cache: shorter than its slots");
	if (size)
		p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return err_set(err, -errno, "cache: mmap");
	d->cache.want = want;
	d->cache.urge = urge;
	d->cache.arg = d;
	if (cache_init(&d->cache, p, nr_slots, slot_bytes) < 0)
		return err_set(err, -ENOMEM, "cache");
	return 0;
}

/* Takes over the sockets in @fds, which are -1 afterwards. */
static int make_devices(struct dev *d, const struct link_msg *m, int *fds, struct err *err)
{
	const uint32_t nr = m->setup.nr_slots;
	const unsigned int threads = 1 + THREADS_MORE / (nr + 1);
	int r;

	r = map_ram(d, fds[0], m->setup.ram_bytes, err);
	if (r == 0)
		r = map_cache(d, fds[1], m->setup.nr_cache_slots, m->setup.cache_slot_bytes, err);
	if (r < 0)
		return r;
	if (m->setup.guest_cid <= VSOCK_HOST_CID || m->setup.guest_cid >= UINT32_MAX)
		return err_text(err, -EPROTO, "setup: guest CID");
	d->shared = (struct blk_shared){ &d->loop, &d->up, &d->cache };
	d->blk = calloc(nr + 1, sizeof(*d->blk));
	d->pools = calloc(nr + 1, sizeof(*d->pools));
	if (!d->blk || !d->pools)
		return err_set(err, -ENOMEM, "disks");
	r = vsock_init(&d->vsock, &d->loop, &d->up, &d->ram, m->setup.guest_cid, fds[2]);
	if (r < 0)
		return err_set(err, r, "vsock");
	fds[2] = -1;
	for (; d->nr_blk < nr; d->nr_blk++) {
		int *fd = &fds[LINK_SETUP_FDS + d->nr_blk];

		r = pool_init(&d->pools[d->nr_blk], &d->loop, threads);
		if (r < 0)
			return err_set(err, r, "a thread for disk %u", d->nr_blk);
		r = blk_init(&d->blk[d->nr_blk], &d->shared, &d->pools[d->nr_blk], d->nr_blk, &d->ram, *fd);
		if (r < 0)
			return err_set(err, r, "disk %u", d->nr_blk);
		*fd = -1;
	}
	return 0;
}

static int set_up(struct dev *d, int link_fd, struct err *err)
{
	int fds[IO_FDS_MAX];
	struct link_msg m;
	size_t nr = 0;
	int r;

	r = link_recv(link_fd, &m, fds, IO_FDS_MAX, &nr);
	if (r <= 0)
		return err_set(err, r < 0 ? r : -EPIPE, "link");
	if (m.type == LINK_SETUP)
		r = make_devices(d, &m, fds, err);
	else
		r = err_text(err, -EPROTO, "link: message %u before SETUP", m.type);
	for (size_t i = 0; i < nr; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	return r;
}

static struct blk *get_slot(struct dev *d, uint32_t slot, struct err *err)
{
	if (slot < d->nr_blk)
		return &d->blk[slot];
	(void)err_text(err, -EPROTO, "slot %u", slot);
	return NULL;
}

static int handle(struct dev *d, const struct link_msg *m, int fd, struct err *err)
{
	struct blk *b;

	switch (m->type) {
	case LINK_DISK:
		b = get_slot(d, m->slot, err);
		if (b)
			return blk_insert(b, m, fd, err);
		break;
	case LINK_UNIT:
		b = get_slot(d, m->slot, err);
		return b ? blk_unit(b, m, err) : -EPROTO;
	case LINK_CLIENT:
		vsock_client(&d->vsock, fd, m->client.port, m->client.id);
		return 0;
	case LINK_PING:
		vsock_ping(&d->vsock);
		return 0;
	case LINK_STOP:
		d->loop.stop = true;
		return 0;
	default:
		(void)err_text(err, -EPROTO, "message %u", m->type);
	}
	if (fd >= 0)
		(void)close(fd);
	return -EPROTO;
}

static void link_event(struct loop_src *s, uint32_t events)
{
	struct dev *d = (struct dev *)(void *)((char *)s - offsetof(struct dev, link));
	struct err err = ERR_INIT;
	int r;

	(void)events;
	for (int i = 0; i < LOOP_BATCH && !d->loop.stop; i++) {
		struct link_msg m;
		size_t nr = 0;
		int fd = -1;

		r = link_recv(d->up.fd, &m, &fd, 1, &nr);
		if (r == -EAGAIN)
			return;
		if (r == 0 || r == -ECONNRESET) {	/* the session has ended */
			d->loop.stop = true;
			return;
		}
		r = r < 0 ? err_set(&err, r, "read") : handle(d, &m, nr ? fd : -1, &err);
		if (r < 0) {
			uplink_fatal(&d->up, &err, "link");
			return;
		}
	}
}

static int serve(struct dev *d, int link_fd, struct err *err)
{
	const struct link_msg ready = { .type = LINK_READY };
	int r;

	r = set_up(d, link_fd, err);
	if (r < 0)
		return r;
	r = io_set_nonblock(link_fd);
	if (r == 0)
		r = loop_add(&d->loop, &d->link, link_fd, EPOLLIN);
	if (r < 0)
		return err_set(err, r, "link");
	r = sandbox_enter(d->ram.size_bytes + d->cache.slot_bytes * d->cache.nr_slots, err);
	if (r < 0)
		return r;
	uplink_send(&d->up, &ready);
	r = loop_run(&d->loop);
	return r < 0 ? err_set(err, r, "event loop") : 0;
}

int dev_main(int link_fd)
{
	CLEANUP_FREE struct dev *d = calloc(1, sizeof(*d));
	struct err err = ERR_INIT;
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	if (!d)
		return 1;
	d->link.fn = link_event;
	r = sandbox_early(link_fd, &err);
	if (r == 0)
		r = loop_init(&d->loop);
	if (r == 0)
		r = uplink_init(&d->up, &d->loop, link_fd);
	if (r == 0)
		r = serve(d, link_fd, &err);
	if (r < 0) {
		log_err("device: %s", err.text);
		if (d->up.queue)
			uplink_fatal(&d->up, &err, "device");
	}
	if (d->up.queue)
		uplink_flush_last(&d->up);
	/* No tear-down: threads may be inside a read, and the kernel takes everything back at once. */
	_exit(r < 0 || d->up.failed);
}
