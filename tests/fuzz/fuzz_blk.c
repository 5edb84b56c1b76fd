/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/dev/blk/blk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM 16384u
#define UVA UINT64_C(0x100000)
#define RING 16u
#define UNIT 1024u

static uint8_t ram[RAM] __attribute__((aligned(4096))), units[4 * UNIT];
static struct loop loop;
static struct pool pool;

static void want(void *arg, uint32_t disk, uint64_t unit, uint32_t slot, bool prefetch)
{
	struct link_msg m = { .type = LINK_WANT, .slot = disk };

	m.want.unit = unit;
	m.want.cache_slot = slot;
	m.want.prefetch = prefetch;
	uplink_send(arg, &m);
}

static void urge(void *arg, uint32_t disk, uint64_t unit, uint32_t slot)
{
	struct link_msg m = { .type = LINK_URGE, .slot = disk };

	m.want.unit = unit;
	m.want.cache_slot = slot;
	uplink_send(arg, &m);
}

static void answer(struct blk *b, int link, uint8_t how)
{
	struct link_msg m, u;

	while (link_recv(link, &m, NULL, 0, NULL) == 1) {
		if (m.type != LINK_WANT)
			continue;
		u = (struct link_msg){ .type = LINK_UNIT };
		u.unit.unit = m.want.unit;
		u.unit.cache_slot = m.want.cache_slot;
		u.unit.code = m.want.unit % 8 == (how & 7) ? -EIO : 0;
		u.unit.zero = m.want.unit % 2 == 1;
		if (blk_unit(b, &u, NULL) < 0)
			abort();
	}
}

/* First byte: raw or chunked, features, which unit is bad. The rest is guest memory with the rings at its beginning. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vu_ram all = { .base = ram, .size_bytes = RAM };
	struct vu_region region = { .size_bytes = RAM, .uva = UVA };
	struct link_msg disk = { .type = LINK_DISK, .disk = { .size_bytes = 20 * UNIT + 300, .unit_bytes = UNIT } };
	struct cache cache = { .want = want, .urge = urge };
	struct uplink up;
	struct blk_shared sh = { &loop, &up, &cache };
	struct vu_queue *k;
	struct blk b;
	int link[2], qemu[2];

	if (!size)
		return 0;
	if (!loop.epoll_fd && (loop_init(&loop) < 0 || pool_init(&pool, &loop, 3) < 0))
		abort();
	loop.stop = false;
	disk.disk.raw = data[0] & 1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, link) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, qemu) < 0 || uplink_init(&up, &loop, link[0]) < 0 ||
	    cache_init(&cache, units, 4, UNIT) < 0 || blk_init(&b, &sh, &pool, 0, &all, qemu[0]) < 0 ||
	    vu_mem_set(&b.port.vu.mem, &region, 1, NULL) < 0)
		abort();
	cache.arg = &up;
	if (blk_insert(&b, &disk, data[0] & 1 ? memfd_create("disk", MFD_CLOEXEC) : -1, NULL) < 0)
		abort();
	if (b.raw && ftruncate(b.fd, data[0] & 2 ? 20 * UNIT + 300 : 5000) < 0)
		abort();
	k = &b.port.vu.queue[0];
	k->q.size = RING;
	k->q.event_idx = data[0] & 4;
	k->q.indirect = data[0] & 8;
	k->enabled = true;
	memset(ram, 0, RAM);
	memcpy(ram, data + 1, size - 1 < RAM ? size - 1 : RAM);
	if (virtq_start(&k->q, UVA, UVA + 256, UVA + 512, NULL) == 0 && b.port.type->run(&b.port, 0, NULL) == 0)
		for (int i = 0; i < 4; i++) {
			answer(&b, link[1], data[0] >> 4);
			pool_quiesce(&pool);
		}
	blk_fini(&b);
	cache_fini(&cache);
	uplink_fini(&up);
	(void)close(link[0]);
	(void)close(link[1]);
	(void)close(qemu[1]);
	return 0;
}
