/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/dev/vu/vu.h"

#define RAM 0x10000u
#define UVA UINT64_C(0x7f0000000000)
#define SIZE 8u
#define AVAIL 0x100u
#define USED 0x200u

static uint8_t ram[RAM] __attribute__((aligned(4096)));
static struct vu_ram all = { .base = ram, .size_bytes = RAM };
static struct vu_mem mem;
static struct virtq q;
static struct virtq_chain chain;

/* two regions with a hole in the guest's view, next to each other in the file */
static const struct vu_region regions[2] = { { 0, 0x8000, UVA, 0 }, { 0x100000, 0x8000, UVA + 0x100000, 0x8000 } };

static void put16(uint32_t off, uint16_t v)
{
	memcpy(ram + off, &v, sizeof(v));
}

static uint16_t get16(uint32_t off)
{
	uint16_t v;

	memcpy(&v, ram + off, sizeof(v));
	return v;
}

static int setup(void **state)
{
	(void)state;
	memset(ram, 0, sizeof(ram));
	mem = (struct vu_mem){ .ram = &all };
	q = (struct virtq){ .mem = &mem, .size = SIZE, .indirect = true };
	return vu_mem_set(&mem, regions, 2, NULL) < 0 || virtq_start(&q, UVA, UVA + AVAIL, UVA + USED, NULL) < 0;
}

static const struct {
	const char *name;
	struct vu_region r[2];
	size_t nr;
	int want;
	const char *text;	/* names the field */
} tables[] = {
	{ "none", { { 0 } }, 0, 0, "" },
	{ "one", { { 0, RAM, UVA, 0 } }, 1, 0, "" },
	{ "size 0", { { 0, 0, UVA, 0 } }, 1, -EPROTO, "memory table: region size 0" },
	{ "past the end", { { 0, RAM, UVA, 1 } }, 1, -EPROTO, "memory table: region past the end of guest memory" },
	{ "offset wraps", { { 0, 0x1000, UVA, UINT64_MAX } }, 1, -EPROTO, "memory table: region past the end of guest memory" },
	{ "gpa wraps", { { UINT64_MAX, 0x1000, UVA, 0 } }, 1, -EPROTO, "memory table: region address wraps" },
	{ "uva wraps", { { 0, 0x1000, UINT64_MAX - 5, 0 } }, 1, -EPROTO, "memory table: region address wraps" },
	{ "gpa overlap", { { 0, 0x2000, UVA, 0 }, { 0x1fff, 0x1000, UVA + RAM, 0x2000 } }, 2, -EPROTO, "memory table: regions overlap" },
	{ "uva overlap", { { 0, 0x2000, UVA, 0 }, { 0x9000, 0x1000, UVA + 1, 0x2000 } }, 2, -EPROTO, "memory table: regions overlap" },
	{ "too many", { { 0 } }, 9, -EPROTO, "memory table: 9 regions" },
};

static void test_mem(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
		struct err err = ERR_INIT;

		print_message("%s\n", tables[i].name);
		assert_int_equal(vu_mem_set(&mem, tables[i].r, tables[i].nr, &err), tables[i].want);
		assert_string_equal(err.text, tables[i].text);
	}
	assert_int_equal(vu_mem_set(&mem, regions, 2, NULL), 0);
	assert_ptr_equal(vu_mem_gpa(&mem, 0x7fff, 1), ram + 0x7fff);
	assert_null(vu_mem_gpa(&mem, 0x7fff, 2));
	assert_null(vu_mem_gpa(&mem, 0x8000, 1));
	assert_ptr_equal(vu_mem_gpa(&mem, 0x100000, 0x8000), ram + 0x8000);
	assert_null(vu_mem_gpa(&mem, 0x100000, UINT64_MAX));
	assert_ptr_equal(vu_mem_uva(&mem, UVA + 0x107fff, 1), ram + 0xffff);
	assert_null(vu_mem_uva(&mem, UVA - 1, 1));
}

#define OUT(a, l, nxt) { a, l, VRING_DESC_F_NEXT, nxt }
#define OUT_END(a, l) { a, l, 0, 0 }
#define IN(a, l, nxt) { a, l, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, nxt }
#define IN_END(a, l) { a, l, VRING_DESC_F_WRITE, 0 }
#define IND(a, l) { a, l, VRING_DESC_F_INDIRECT, 0 }

static const struct {
	const char *name;
	struct vring_desc d[5];		/* also what indirect tables at 0 see */
	uint16_t head, idx;
	int want;
	size_t out, in;
	const char *text;
} chains[] = {
	{ "request", { OUT(0x1000, 16, 1), IN(0x100000, 512, 2), IN_END(0x2000, 1) }, 0, 1, 1, 16, 513, "" },
	{ "write only", { IN_END(0x7ff0, 16) }, 0, 1, 1, 0, 16, "" },
	{ "nothing there", { OUT_END(0, 1) }, 0, 0, 0, 0, 0, "" },
	{ "head past the ring", { OUT_END(0, 1) }, SIZE, 1, -EPROTO, 0, 0, "virtqueue: head of a chain" },
	{ "index jumps", { OUT_END(0, 1) }, 0, SIZE + 1, -EPROTO, 0, 0, "virtqueue: available index" },
	{ "index behind", { OUT_END(0, 1) }, 0, 0xffff, -EPROTO, 0, 0, "virtqueue: available index" },
	{ "next past the ring", { OUT(0, 1, SIZE) }, 0, 1, -EPROTO, 0, 0, "virtqueue: descriptor index" },
	{ "loop", { OUT(0, 1, 1), OUT(0, 1, 0) }, 0, 1, -EPROTO, 0, 0, "virtqueue: chain loops" },
	{ "self", { OUT(0, 1, 0) }, 0, 1, -EPROTO, 0, 0, "virtqueue: chain loops" },
	{ "readable behind writable", { IN(0, 1, 1), OUT_END(0, 1) }, 0, 1, -EPROTO, 0, 0, "virtqueue: readable descriptor behind a writable one" },
	{ "length 0", { OUT_END(0, 0) }, 0, 1, -EPROTO, 0, 0, "virtqueue: descriptor length 0" },
	{ "in the hole", { OUT_END(0x8000, 1) }, 0, 1, -EPROTO, 0, 0, "virtqueue: descriptor address" },
	{ "over the edge", { OUT_END(0x7fff, 2) }, 0, 1, -EPROTO, 0, 0, "virtqueue: descriptor address" },
	{ "address wraps", { OUT_END(UINT64_MAX, 2) }, 0, 1, -EPROTO, 0, 0, "virtqueue: descriptor address" },
	{ "indirect", { OUT(0x1000, 16, 1), IN_END(0x2000, 5), IND(0, 32) }, 2, 1, 1, 16, 5, "" },
	{ "indirect, next past the table", { OUT(0x1000, 16, 1), IN_END(0x2000, 5), IND(0, 16) }, 2, 1, -EPROTO, 0, 0, "virtqueue: descriptor index" },
	{ "indirect of odd length", { OUT_END(0x1000, 16), IND(0, 17) }, 1, 1, -EPROTO, 0, 0, "virtqueue: length of the indirect table" },
	{ "indirect, empty", { OUT_END(0x1000, 16), IND(0, 0) }, 1, 1, -EPROTO, 0, 0, "virtqueue: length of the indirect table" },
	{ "indirect over the edge", { OUT_END(0, 1), IND(0x7ff0, 32) }, 1, 1, -EPROTO, 0, 0, "virtqueue: address of the indirect table" },
	{ "indirect with next", { { 0, 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1 }, OUT_END(0, 1) }, 0, 1, -EPROTO, 0, 0,
	  "virtqueue: indirect descriptor with a next one" },
	{ "over two regions", { OUT_END(0x7ff0, 0xf8020) }, 0, 1, -EPROTO, 0, 0, "virtqueue: descriptor address" },
	{ "length wraps the address", { OUT_END(0x1000, UINT32_MAX) }, 0, 1, -EPROTO, 0, 0, "virtqueue: descriptor address" },
	{ "end of all addresses", { OUT_END(UINT64_MAX - 15, 16) }, 0, 1, -EPROTO, 0, 0, "virtqueue: descriptor address" },
	{ "tail loops", { OUT(0, 1, 1), OUT(0, 1, 2), OUT(0, 1, 1) }, 0, 1, -EPROTO, 0, 0, "virtqueue: chain loops" },
	{ "indirect loops", { OUT(0x1000, 16, 1), OUT(0x1000, 16, 0), IND(0, 32) }, 2, 1, -EPROTO, 0, 0, "virtqueue: chain loops" },
	{ "indirect, length wraps", { OUT_END(0, 1), IND(0x10, 0xfffffff0) }, 1, 1, -EPROTO, 0, 0, "virtqueue: length of the indirect table" },
	{ "indirect, unaligned", { OUT_END(0, 1), IND(0x1001, 16) }, 1, 1, -EPROTO, 0, 0, "virtqueue: address of the indirect table" },
	{ "indirect in the hole", { OUT_END(0, 1), IND(0x8000, 16) }, 1, 1, -EPROTO, 0, 0, "virtqueue: address of the indirect table" },
	{ "indirect inside", { OUT(0, 1, 1), IND(0, 16) }, 0, 1, -EPROTO, 0, 0, "virtqueue: indirect descriptor inside a chain" },
	{ "indirect in indirect", { IND(0, 16) }, 0, 1, -EPROTO, 0, 0, "virtqueue: indirect descriptor inside a chain" },
};

static void test_chains(void **state)
{
	for (size_t i = 0; i < sizeof(chains) / sizeof(*chains); i++) {
		struct err err = ERR_INIT;

		print_message("%s\n", chains[i].name);
		assert_int_equal(setup(state), 0);
		memcpy(ram, chains[i].d, sizeof(chains[i].d));
		put16(AVAIL + 4, chains[i].head);
		put16(AVAIL + 2, chains[i].idx);
		assert_int_equal(virtq_pop(&q, &chain, &err), chains[i].want);
		assert_string_equal(err.text, chains[i].text);
		if (chains[i].want < 1)
			continue;
		assert_int_equal(chain.head, chains[i].head);
		assert_int_equal(chain.out_bytes, chains[i].out);
		assert_int_equal(chain.in_bytes, chains[i].in);
		q.indirect = false;
		virtq_unpop(&q);
		assert_int_equal(virtq_pop(&q, &chain, NULL), chains[i].d[chains[i].head].flags & VRING_DESC_F_INDIRECT ? -EPROTO : 1);
	}
}

static void offer_one(uint16_t head)
{
	put16(AVAIL + 4, head);
	put16(AVAIL + 2, 1);
}

/* One more descriptor than a chain may have. */
static void test_long_chain(void **state)
{
	const struct vring_desc head[2] = { IND(0x1000, VIRTQ_CHAIN_MAX * 16), IND(0x1000, (VIRTQ_CHAIN_MAX + 1) * 16) };

	(void)state;
	memcpy(ram, head, sizeof(head));
	for (unsigned int i = 0; i <= VIRTQ_CHAIN_MAX; i++) {
		const struct vring_desc d = { 0x4000, 1, i < VIRTQ_CHAIN_MAX ? VRING_DESC_F_NEXT : 0, (uint16_t)(i + 1) };

		memcpy(ram + 0x1000 + i * sizeof(d), &d, sizeof(d));
	}
	for (uint16_t i = 0; i < 2; i++) {
		struct vring_desc last;
		struct err err = ERR_INIT;

		memcpy(&last, ram + 0x1000 + (VIRTQ_CHAIN_MAX - 1) * sizeof(last), sizeof(last));
		last.flags = i ? VRING_DESC_F_NEXT : 0;
		memcpy(ram + 0x1000 + (VIRTQ_CHAIN_MAX - 1) * sizeof(last), &last, sizeof(last));
		offer_one(i);
		assert_int_equal(virtq_pop(&q, &chain, &err), i ? -EPROTO : 1);
		assert_string_equal(err.text, i ? "virtqueue: chain too long" : "");
		assert_int_equal(virtq_start(&q, UVA, UVA + AVAIL, UVA + USED, NULL), 0);
		q.last_avail = 0;
	}
}

/* Ranges that together are longer than 32 bits can say, in a guest of that much memory (which nobody touches). */
static void test_long_sum(void **state)
{
	static const struct {
		struct vring_desc d[3];
		const char *text;
	} rows[] = {
		{ { OUT(0, 0x80000000, 1), OUT_END(0, 0x7fffffff) }, "" },
		{ { OUT(0, 0x80000000, 1), OUT_END(0, 0x80000000) }, "virtqueue: length of the chain" },
		{ { IN(0, 0x80000000, 1), IN_END(0, 0x80000000) }, "virtqueue: length of the chain" },
		{ { OUT(0, UINT32_MAX, 1), IN_END(0, UINT32_MAX) }, "" },
		{ { OUT(0, UINT32_MAX, 1), IN(0, UINT32_MAX, 2), IN_END(0, 1) }, "virtqueue: length of the chain" },
	};
	const uint64_t size = UINT64_C(1) << 32;
	const struct vu_region region = { 0, size, UVA, 0 };
	struct vu_ram large = { .size_bytes = size };

	(void)state;
	large.base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(large.base, MAP_FAILED);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct vu_mem m = { .ram = &large };
		struct virtq lq = { .mem = &m, .size = SIZE };
		struct err err = ERR_INIT;
		const uint16_t one = 1;

		assert_int_equal(vu_mem_set(&m, &region, 1, NULL), 0);
		assert_int_equal(virtq_start(&lq, UVA, UVA + AVAIL, UVA + USED, NULL), 0);
		memcpy(large.base, rows[i].d, sizeof(rows[i].d));
		memcpy(large.base + AVAIL + 2, &one, sizeof(one));
		assert_int_equal(virtq_pop(&lq, &chain, &err), *rows[i].text ? -EPROTO : 1);
		assert_string_equal(err.text, rows[i].text);
	}
	(void)munmap(large.base, size);
}

/* The guest may offer again what it has not got back, but no more than the ring holds. */
static void test_in_flight(void **state)
{
	const struct vring_desc d = OUT_END(0, 1);

	(void)state;
	memcpy(ram, &d, sizeof(d));
	put16(AVAIL + 2, SIZE);
	for (unsigned int i = 0; i < SIZE; i++)
		assert_int_equal(virtq_pop(&q, &chain, NULL), 1);
	assert_int_equal(virtq_pop(&q, &chain, NULL), 0);
	put16(AVAIL + 2, SIZE + 1);
	assert_int_equal(virtq_pop(&q, &chain, NULL), -EPROTO);
	virtq_push(&q, 0, 7);
	assert_int_equal(virtq_pop(&q, &chain, NULL), 1);
	assert_int_equal(get16(USED + 2), 1);
	assert_int_equal(get16(USED + 8), 7);
}

static void test_notify(void **state)
{
	const struct vring_desc d = OUT_END(0, 1);

	for (int event = 0; event < 2; event++) {
		assert_int_equal(setup(state), 0);
		q.event_idx = event;
		memcpy(ram, &d, sizeof(d));
		assert_false(virtq_kicks_on(&q));
		put16(AVAIL + 2, 3);
		assert_true(virtq_kicks_on(&q));
		for (int i = 0; i < 3; i++)
			assert_int_equal(virtq_pop(&q, &chain, NULL), 1);
		assert_false(virtq_kicks_on(&q));
		if (event)
			assert_int_equal(get16(USED + 4 + 8 * SIZE), 3);
		virtq_kicks_off(&q);
		assert_int_equal(get16(USED), event ? 0 : VRING_USED_F_NO_NOTIFY);
		virtq_push(&q, 0, 0);
		assert_true(virtq_must_notify(&q));
		assert_false(virtq_must_notify(&q));
		/* suppressed: until used_event is passed, or by the flag */
		put16(AVAIL + 4 + 2 * SIZE, 2);
		put16(AVAIL, event ? 0 : VRING_AVAIL_F_NO_INTERRUPT);
		virtq_push(&q, 0, 0);
		assert_false(virtq_must_notify(&q));
		put16(AVAIL, 0);
		virtq_push(&q, 0, 0);
		assert_true(virtq_must_notify(&q));
	}
}

static const struct {
	const char *name;
	uint32_t size;
	uint64_t desc, avail, used;
	int want;
	const char *text;
} rings[] = {
	{ "good", 8, UVA, UVA + AVAIL, UVA + USED, 0, "" },
	{ "size 0", 0, UVA, UVA + AVAIL, UVA + USED, -EPROTO, "virtqueue: size 0" },
	{ "size 6", 6, UVA, UVA + AVAIL, UVA + USED, -EPROTO, "virtqueue: size 6" },
	{ "size 2048", 2048, UVA, UVA + AVAIL, UVA + USED, -EPROTO, "virtqueue: size 2048" },
	{ "unaligned table", 8, UVA + 8, UVA + AVAIL, UVA + USED, -EPROTO, "virtqueue: address of the descriptor table" },
	{ "unaligned used", 8, UVA, UVA + AVAIL, UVA + USED + 2, -EPROTO, "virtqueue: address of the used ring" },
	{ "table over the edge", 8, UVA + 0x7f90, UVA + AVAIL, UVA + USED, -EPROTO, "virtqueue: address of the descriptor table" },
	{ "avail outside", 8, UVA, 0, UVA + USED, -EPROTO, "virtqueue: address of the available ring" },
	{ "used outside", 8, UVA, UVA + AVAIL, UVA + 0x8000, -EPROTO, "virtqueue: address of the used ring" },
	{ "used wraps", 8, UVA, UVA + AVAIL, UINT64_MAX - 3, -EPROTO, "virtqueue: address of the used ring" },
	{ "avail over the edge", 8, UVA, UVA + 0x7ff0, UVA + USED, -EPROTO, "virtqueue: address of the available ring" },
	{ "guest address for an own one", 8, 0, AVAIL, USED, -EPROTO, "virtqueue: address of the descriptor table" },
	{ "used over the edge", 8, UVA, UVA + AVAIL, UVA + 0x7fbc, -EPROTO, "virtqueue: address of the used ring" },
};

static void test_rings(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rings) / sizeof(*rings); i++) {
		struct virtq r = { .mem = &mem, .size = (uint16_t)rings[i].size };
		struct err err = ERR_INIT;

		print_message("%s\n", rings[i].name);
		assert_int_equal(virtq_start(&r, rings[i].desc, rings[i].avail, rings[i].used, &err), rings[i].want);
		assert_string_equal(err.text, rings[i].text);
		assert_int_equal(virtq_running(&r), rings[i].want == 0);
	}
}

static void test_fd(void **state)
{
	int fd = memfd_create("ram", MFD_CLOEXEC), other = memfd_create("ram", MFD_CLOEXEC);
	struct stat st;

	(void)state;
	assert_int_equal(fstat(fd, &st), 0);
	all.dev = st.st_dev;
	all.ino = st.st_ino;
	assert_int_equal(vu_mem_check_fd(&mem, fd, NULL), 0);
	assert_int_equal(vu_mem_check_fd(&mem, other, NULL), -EPROTO);
	(void)close(fd);
	(void)close(other);
}

static const struct {
	const char *name;
	uint32_t header[3];
	uint8_t payload[40];
	size_t fds;
	int want;
	const char *text;
} messages[] = {
	{ "GET_FEATURES", { VU_GET_FEATURES, 1, 0 }, { 0 }, 0, 0, "" },
	{ "needs a reply", { VU_SET_OWNER, 9, 0 }, { 0 }, 0, 0, "" },
	{ "version 0", { VU_GET_FEATURES, 0, 0 }, { 0 }, 0, -EPROTO, "vhost-user: GET_FEATURES: flags 0" },
	{ "a reply", { VU_GET_FEATURES, 5, 0 }, { 0 }, 0, -EPROTO, "vhost-user: GET_FEATURES: flags 0x5" },
	{ "unknown flag", { VU_GET_FEATURES, 17, 0 }, { 0 }, 0, -EPROTO, "vhost-user: GET_FEATURES: flags 0x11" },
	{ "request 0", { 0, 1, 0 }, { 0 }, 0, -EPROTO, "vhost-user: request 0" },
	{ "SET_LOG_BASE", { 6, 1, 8 }, { 0 }, 0, -EPROTO, "vhost-user: request 6" },
	{ "request 1000", { 1000, 1, 0 }, { 0 }, 0, -EPROTO, "vhost-user: request 1000" },
	{ "payload where none belongs", { VU_GET_FEATURES, 1, 8 }, { 0 }, 0, -EPROTO, "vhost-user: GET_FEATURES: payload" },
	{ "short payload", { VU_SET_FEATURES, 1, 7 }, { 0 }, 0, -EPROTO, "vhost-user: SET_FEATURES: payload" },
	{ "descriptor where none belongs", { VU_SET_FEATURES, 1, 8 }, { 0 }, 1, -EPROTO, "vhost-user: SET_FEATURES: 1 descriptors" },
	{ "kick", { VU_SET_VRING_KICK, 1, 8 }, { 0 }, 1, 0, "" },
	{ "kick without descriptor", { VU_SET_VRING_KICK, 1, 8 }, { 0 }, 0, -EPROTO, "vhost-user: SET_VRING_KICK: 0 descriptors" },
	{ "call, none", { VU_SET_VRING_CALL, 1, 8 }, { 1, 1 }, 0, 0, "" },
	{ "config", { VU_GET_CONFIG, 1, 20 }, { 0, 0, 0, 0, 8 }, 0, 0, "" },
	{ "config past the end", { VU_GET_CONFIG, 1, 20 }, { 249, 0, 0, 0, 8 }, 0, -EPROTO, "vhost-user: GET_CONFIG: payload" },
	{ "config shorter than it says", { VU_GET_CONFIG, 1, 19 }, { 0, 0, 0, 0, 8 }, 0, -EPROTO, "vhost-user: GET_CONFIG: payload" },
	{ "config huge", { VU_GET_CONFIG, 1, 12 }, { 0, 0, 0, 0, 255, 255, 255, 255 }, 0, -EPROTO, "vhost-user: GET_CONFIG: payload" },
	{ "memory table, regions missing", { VU_SET_MEM_TABLE, 1, 8 }, { 1 }, 1, -EPROTO, "vhost-user: SET_MEM_TABLE: payload" },
	{ "memory table, too many", { VU_SET_MEM_TABLE, 1, 8 }, { 9 }, 0, -EPROTO, "vhost-user: SET_MEM_TABLE: payload" },
	{ "memory table, empty", { VU_SET_MEM_TABLE, 1, 8 }, { 0 }, 0, 0, "" },
	{ "memory table, region without descriptor", { VU_SET_MEM_TABLE, 1, 40 }, { 1 }, 0, -EPROTO, "vhost-user: SET_MEM_TABLE: 0 descriptors" },
	{ "memory table, two descriptors for a region", { VU_SET_MEM_TABLE, 1, 40 }, { 1 }, 2, -EPROTO, "vhost-user: SET_MEM_TABLE: 2 descriptors" },
	{ "memory table, bytes behind it", { VU_SET_MEM_TABLE, 1, 40 }, { 0 }, 0, -EPROTO, "vhost-user: SET_MEM_TABLE: payload" },
	{ "version 2", { VU_GET_FEATURES, 2, 0 }, { 0 }, 0, -EPROTO, "vhost-user: GET_FEATURES: flags 0x2" },
	{ "version 3", { VU_GET_FEATURES, 3, 0 }, { 0 }, 0, -EPROTO, "vhost-user: GET_FEATURES: flags 0x3" },
	{ "size of a ring, short", { VU_SET_VRING_NUM, 1, 7 }, { 0 }, 0, -EPROTO, "vhost-user: SET_VRING_NUM: payload" },
	{ "addresses", { VU_SET_VRING_ADDR, 1, 40 }, { 0 }, 0, 0, "" },
	{ "addresses, short", { VU_SET_VRING_ADDR, 1, 39 }, { 0 }, 0, -EPROTO, "vhost-user: SET_VRING_ADDR: payload" },
	{ "addresses, long", { VU_SET_VRING_ADDR, 1, 41 }, { 0 }, 0, -EPROTO, "vhost-user: SET_VRING_ADDR: payload" },
	{ "call, one that is said not to come", { VU_SET_VRING_CALL, 1, 8 }, { 0, 1 }, 1, -EPROTO, "vhost-user: SET_VRING_CALL: 1 descriptors" },
	{ "errors without descriptor", { VU_SET_VRING_ERR, 1, 8 }, { 0 }, 0, -EPROTO, "vhost-user: SET_VRING_ERR: 0 descriptors" },
	{ "slave without descriptor", { VU_SET_SLAVE_REQ_FD, 1, 0 }, { 0 }, 0, -EPROTO, "vhost-user: SET_SLAVE_REQ_FD: 0 descriptors" },
	{ "size over the limit", { VU_SET_CONFIG, 1, 100000 }, { 0 }, 0, -EPROTO, "vhost-user: SET_CONFIG: size 100000" },
};

static void test_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++) {
		uint8_t raw[12 + 40];
		size_t len = messages[i].header[2] <= 40 ? messages[i].header[2] : 40;
		struct err err = ERR_INIT;
		struct vu_msg m;

		print_message("%s\n", messages[i].name);
		memcpy(raw, messages[i].header, 12);
		memcpy(raw + 12, messages[i].payload, 40);
		assert_int_equal(vu_msg_parse(raw, 12 + len, messages[i].fds, &m, &err), messages[i].want);
		assert_string_equal(err.text, messages[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_mem, setup),	cmocka_unit_test_setup(test_chains, setup),
		cmocka_unit_test_setup(test_in_flight, setup),	cmocka_unit_test_setup(test_notify, setup),
		cmocka_unit_test_setup(test_rings, setup),	cmocka_unit_test_setup(test_fd, setup),
		cmocka_unit_test_setup(test_long_chain, setup), cmocka_unit_test(test_long_sum),
		cmocka_unit_test(test_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
