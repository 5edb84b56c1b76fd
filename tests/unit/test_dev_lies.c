/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lies of QEMU in the messages that set a device up, and of the guest in requests to a disk: each ends the VM with its field named. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <fcntl.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/dev/blk/blk.h"

#define RAM 0x8000000u		/* room for a request that is too long; all but the first pages are never touched */
#define RAM_USED 0x10000u
#define UVA UINT64_C(0x7f0000000000)
#define AVAIL 0x1000u
#define USED 0x2000u
#define VERSION_1 (UINT64_C(1) << 32)
#define DISK (256u << 20)
#define SECTORS (DISK / 512)

static uint8_t *ram;
static int ram_fd;
static struct vu_ram all = { .size_bytes = RAM };
static struct loop loop;
static struct pool pool;
static struct uplink up;
static struct cache cache;
static struct blk blk;
static struct blk_shared shared = { &loop, &up, &cache };
static int link_fds[2], qemu[2];

static int setup(void **state)
{
	const struct vu_region region = { .size_bytes = RAM, .uva = UVA };
	struct link_msg disk = { .type = LINK_DISK, .disk = { .size_bytes = DISK, .raw = true } };
	int fd = memfd_create("disk", MFD_CLOEXEC);
	struct stat st;

	(void)state;
	if (!ram)
		ram = all.base = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ram == MAP_FAILED)
		return -1;
	memset(ram, 0, RAM_USED);
	ram_fd = memfd_create("ram", MFD_CLOEXEC);
	if (fstat(ram_fd, &st) < 0 || ftruncate(fd, DISK) < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, link_fds) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, qemu) < 0)
		return -1;
	all.dev = st.st_dev;
	all.ino = st.st_ino;
	if (loop_init(&loop) < 0 || pool_init(&pool, &loop, 1) < 0 || uplink_init(&up, &loop, link_fds[0]) < 0 ||
	    cache_init(&cache, ram, 1, 65536) < 0 || blk_init(&blk, &shared, &pool, 0, &all, qemu[0]) < 0 || blk_insert(&blk, &disk, fd, NULL) < 0)
		return -1;
	return vu_mem_set(&blk.port.vu.mem, &region, 1, NULL);
}

static int teardown(void **state)
{
	(void)state;
	blk_fini(&blk);
	cache_fini(&cache);
	uplink_fini(&up);
	for (int i = 0; i < 2; i++)
		(void)close(link_fds[i]);
	(void)close(qemu[1]);
	(void)close(ram_fd);
	return 0;
}

enum { FD_NONE, FD_EVENT, FD_RAM, FD_OTHER, FD_FILE };

static int make_fd(int kind)
{
	return kind == FD_EVENT ? eventfd(0, EFD_CLOEXEC) : kind == FD_RAM ? dup(ram_fd) :
	       kind == FD_OTHER ? memfd_create("other", MFD_CLOEXEC) : open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int say(const struct vu_msg *m, int kind, struct err *err)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	int fd = kind == FD_NONE ? -1 : make_fd(kind);

	return vu_handle(&blk.port.vu, m, &fd, kind != FD_NONE, &out, err);
}

#define MEM { .request = VU_SET_MEM_TABLE, .mem = { .nr = 1, .region = { { 0, RAM, UVA, 0 } } } }
#define FEATURES { .request = VU_SET_FEATURES, .u64 = VERSION_1 }
#define NUM { .request = VU_SET_VRING_NUM, .state = { 0, 8 } }
#define ADDR { .request = VU_SET_VRING_ADDR, .addr = { 0, 0, UVA, UVA + USED, UVA + AVAIL } }
#define KICK { .request = VU_SET_VRING_KICK, .u64 = 0 }

static const struct {
	const char *name;
	struct vu_msg before[5], m;
	int fd;
	const char *text;
} messages[] = {
	{ "features", { { 0 } }, { .request = VU_SET_FEATURES, .u64 = 1u << 31 }, FD_NONE, "vhost-user: SET_FEATURES: 0x80000000 was not offered" },
	{ "protocol features", { { 0 } }, { .request = VU_SET_PROTOCOL_FEATURES, .u64 = 2 }, FD_NONE, "vhost-user: SET_PROTOCOL_FEATURES: 0x2" },
	{ "memory of somebody else", { { 0 } }, MEM, FD_OTHER, "memory table: descriptor is not the guest's memory" },
	{ "memory that is a device", { { 0 } }, MEM, FD_FILE, "memory table: descriptor is not the guest's memory" },
	{ "queue of NUM", { { 0 } }, { .request = VU_SET_VRING_NUM, .state = { 1, 8 } }, FD_NONE, "vhost-user: queue 1" },
	{ "size 0", { { 0 } }, { .request = VU_SET_VRING_NUM, .state = { 0, 0 } }, FD_NONE, "vhost-user: SET_VRING_NUM: size 0" },
	{ "size 7", { { 0 } }, { .request = VU_SET_VRING_NUM, .state = { 0, 7 } }, FD_NONE, "vhost-user: SET_VRING_NUM: size 7" },
	{ "size 2^31", { { 0 } }, { .request = VU_SET_VRING_NUM, .state = { 0, 1u << 31 } }, FD_NONE, "vhost-user: SET_VRING_NUM: size 2147483648" },
	{ "index", { { 0 } }, { .request = VU_SET_VRING_BASE, .state = { 0, 65536 } }, FD_NONE, "vhost-user: SET_VRING_BASE: index 65536" },
	{ "queue of BASE", { { 0 } }, { .request = VU_GET_VRING_BASE, .state = { 9, 0 } }, FD_NONE, "vhost-user: queue 9" },
	{ "queue of ADDR", { { 0 } }, { .request = VU_SET_VRING_ADDR, .addr = { .queue = UINT32_MAX } }, FD_NONE, "vhost-user: queue 4294967295" },
	{ "log", { { 0 } }, { .request = VU_SET_VRING_ADDR, .addr = { .flags = 1 } }, FD_NONE, "vhost-user: SET_VRING_ADDR: flags 0x1" },
	{ "queue of KICK", { { 0 } }, { .request = VU_SET_VRING_KICK, .u64 = 3 }, FD_EVENT, "vhost-user: queue 3" },
	{ "kick without one", { { 0 } }, { .request = VU_SET_VRING_KICK, .u64 = VU_NO_FD }, FD_NONE, "vhost-user: SET_VRING_KICK without descriptor" },
	{ "kick of a high queue", { { 0 } }, { .request = VU_SET_VRING_KICK, .u64 = 1u << 20 }, FD_EVENT, "vhost-user: SET_VRING_KICK without descriptor" },
	{ "queue of CALL", { { 0 } }, { .request = VU_SET_VRING_CALL, .u64 = 200 }, FD_EVENT, "vhost-user: queue 200" },
	{ "queue of ENABLE", { { 0 } }, { .request = VU_SET_VRING_ENABLE, .state = { 1, 1 } }, FD_NONE, "vhost-user: queue 1" },
	{ "half enabled", { { 0 } }, { .request = VU_SET_VRING_ENABLE, .state = { 0, 2 } }, FD_NONE, "vhost-user: SET_VRING_ENABLE: 2" },
	{ "a slave that is no socket", { { 0 } }, { .request = VU_SET_SLAVE_REQ_FD }, FD_RAM, "vhost-user: SET_SLAVE_REQ_FD: not a stream socket" },
	{ "a start without features", { NUM, ADDR }, KICK, FD_EVENT, "vhost-user: queue 0 started without VERSION_1" },
	{ "a start without addresses", { FEATURES, NUM }, KICK, FD_EVENT, "vhost-user: queue 0 started without addresses" },
	{ "a start without a size", { FEATURES, ADDR }, KICK, FD_EVENT, "virtqueue: size 0" },
	{ "a start outside of memory", { FEATURES, NUM, { .request = VU_SET_VRING_ADDR, .addr = { 0, 0, 1, 2, 3 } } }, KICK, FD_EVENT,
	  "virtqueue: address of the descriptor table" },
	{ "a good start", { FEATURES, NUM, ADDR }, KICK, FD_EVENT, "" },
	{ "a size while it runs", { FEATURES, NUM, ADDR, KICK }, NUM, FD_NONE, "vhost-user: queue 0 changed while it runs" },
	{ "addresses while it runs", { FEATURES, NUM, ADDR, KICK }, ADDR, FD_NONE, "vhost-user: queue 0 changed while it runs" },
	{ "memory taken from under it", { FEATURES, NUM, ADDR, KICK }, { .request = VU_SET_MEM_TABLE }, FD_NONE,
	  "virtqueue: address of the descriptor table" },
};

static void test_messages(void **state)
{
	for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++) {
		struct err err = ERR_INIT;

		print_message("%s\n", messages[i].name);
		for (size_t k = 0; k < 5 && messages[i].before[k].request; k++)
			assert_int_equal(say(&messages[i].before[k], messages[i].before[k].request == VU_SET_VRING_KICK ? FD_EVENT : FD_NONE, &err), 0);
		assert_int_equal(say(&messages[i].m, messages[i].fd, &err), *messages[i].text ? -EPROTO : 0);
		assert_string_equal(err.text, messages[i].text);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

#define OUT(a, l, nxt) { a, l, VRING_DESC_F_NEXT, nxt }
#define IN_END(a, l) { a, l, VRING_DESC_F_WRITE, 0 }

static const struct {
	const char *name;
	struct vring_desc d[3];
	uint32_t type;
	uint64_t sector;
	const char *text;	/* of what ends the VM */
	int status;		/* else: what the guest is told; -1: later */
} requests[] = {
	{ "read", { OUT(0x3000, 16, 1), { 0x4000, 512, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 2 }, IN_END(0x5000, 1) }, 0, 0, "", -1 },
	{ "short header", { OUT(0x3000, 15, 1), IN_END(0x5000, 1) }, 0, 0, "virtio-blk: request header", 0 },
	{ "no header", { IN_END(0x5000, 1) }, 0, 0, "virtio-blk: request header", 0 },
	{ "no room for the status", { { 0x3000, 16, 0, 0 } }, 0, 0, "virtio-blk: no room for the status", 0 },
	{ "write", { OUT(0x3000, 16, 1), OUT(0x4000, 512, 2), IN_END(0x5000, 1) }, 1, 0, "", 1 },
	{ "unknown type", { OUT(0x3000, 16, 1), IN_END(0x5000, 1) }, 77, 0, "", 2 },
	{ "nothing to read", { OUT(0x3000, 16, 1), IN_END(0x5000, 1) }, 0, 0, "", 1 },
	{ "half a sector", { OUT(0x3000, 16, 1), { 0x4000, 256, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 2 }, IN_END(0x5000, 1) }, 0, 0, "", 1 },
	{ "past the end", { OUT(0x3000, 16, 1), { 0x4000, 512, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 2 }, IN_END(0x5000, 1) }, 0, SECTORS, "", 1 },
	{ "over the end", { OUT(0x3000, 16, 1), { 0x4000, 1024, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 2 }, IN_END(0x5000, 1) }, 0, SECTORS - 1, "", 1 },
	{ "sector wraps", { OUT(0x3000, 16, 1), { 0x4000, 512, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 2 }, IN_END(0x5000, 1) }, 0, UINT64_MAX, "", 1 },
	{ "offset wraps", { OUT(0x3000, 16, 1), { 0x4000, 512, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 2 }, IN_END(0x5000, 1) }, 0, UINT64_C(1) << 55, "", 1 },
	{ "descriptor of no length", { OUT(0x3000, 16, 1), { 0, 0, 0, 0 } }, 0, 0, "virtqueue: descriptor length 0", 0 },
	{ "longer than any request", { OUT(0x3000, 16, 1), { 0x10000, BLK_REQUEST_MAX + 512, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 2 },
	  IN_END(0x5000, 1) }, 0, 0, "", 1 },
	{ "header in two parts", { OUT(0x3000, 8, 1), OUT(0x3008, 8, 2), IN_END(0x5000, 1) }, 77, 0, "", 2 },
	{ "header longer than one", { OUT(0x3000, 600, 1), IN_END(0x5000, 1) }, 77, 0, "", 2 },
	{ "serial into nothing", { OUT(0x3000, 16, 1), IN_END(0x5000, 1) }, 8, 0, "", 0 },
	{ "flush", { OUT(0x3000, 16, 1), IN_END(0x5000, 1) }, 4, 0, "", 2 },
	{ "discard", { OUT(0x3000, 16, 1), OUT(0x4000, 16, 2), IN_END(0x5000, 1) }, 11, 0, "", 2 },
	{ "zeros", { OUT(0x3000, 16, 1), OUT(0x4000, 16, 2), IN_END(0x5000, 1) }, 13, 0, "", 2 },
};

static void test_requests(void **state)
{
	static const struct vu_msg start[] = { FEATURES, NUM, ADDR };
	static const struct vu_msg kick = KICK;

	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		struct err err = ERR_INIT;
		uint16_t one = 1;

		print_message("%s\n", requests[i].name);
		memcpy(ram, requests[i].d, sizeof(requests[i].d));
		memcpy(ram + 0x3000, &requests[i].type, 4);
		memcpy(ram + 0x3008, &requests[i].sector, 8);
		ram[0x5000] = 99;
		for (size_t k = 0; k < 3; k++)
			assert_int_equal(say(&start[k], FD_NONE, &err), 0);
		memcpy(ram + AVAIL + 2, &one, 2);
		assert_int_equal(say(&kick, FD_EVENT, &err), *requests[i].text ? -EPROTO : 0);
		assert_string_equal(err.text, requests[i].text);
		if (!*requests[i].text && requests[i].status >= 0)
			assert_int_equal(ram[0x5000], requests[i].status);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_messages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_requests, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
