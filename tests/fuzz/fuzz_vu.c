/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <linux/virtio_ring.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/dev/vu/vu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM 65536u

static int ram_fd = -1;
static uint8_t *ram;
static struct vu vu;

static void config(void *arg, uint8_t ret[static VU_CONFIG_MAX])
{
	(void)arg;
	memset(ret, 7, 16);
}

static int kick_fd(void *arg, unsigned int queue, int fd, struct err *err)
{
	(void)arg, (void)queue, (void)fd, (void)err;
	return 0;
}

static int run(void *arg, unsigned int queue, struct err *err)
{
	static struct virtq_chain c;
	int r, n = 0;

	(void)arg;
	while ((r = virtq_pop(vu_virtq(&vu, queue), &c, err)) > 0 && n++ < 50) {
		(void)vu_iov_zero(c.iov + c.nr_out, c.nr_in, 0, c.in_bytes);
		virtq_push(vu_virtq(&vu, queue), c.head, 0);
		vu_notify(&vu, queue);
	}
	return r < 0 ? r : 0;
}

static void stop(void *arg, unsigned int queue)
{
	(void)arg, (void)queue;
}

static const struct vu_ops ops = { .nr_queues = 2, .slave = true, .config = config, .kick_fd = kick_fd, .run = run, .stop = stop };

static int make_fd(uint8_t kind)
{
	return kind & 1 ? eventfd(0, EFD_CLOEXEC) : kind & 2 ? open("/dev/null", O_RDWR | O_CLOEXEC) : dup(ram_fd);
}

/* The input is a stream of: number and kind of descriptors, then a message whose size field says how long it is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	struct vu_ram all = { .size_bytes = RAM };
	struct stat st;

	if (ram_fd < 0) {
		ram_fd = memfd_create("ram", MFD_CLOEXEC);
		if (ram_fd < 0 || ftruncate(ram_fd, RAM) < 0)
			abort();
		ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd, 0);
	}
	if (fstat(ram_fd, &st) < 0)
		abort();
	memset(ram, 0, RAM);
	all.base = ram;
	all.dev = st.st_dev;
	all.ino = st.st_ino;
	vu_init(&vu, &ops, NULL, &all);
	while (size > 1 + VU_HEADER_BYTES) {
		size_t nr_fds = data[0] & 15, payload;
		int fds[16];
		struct vu_msg m;

		if (vu_msg_size(data + 1, &payload, NULL) < 0 || payload > size - 1 - VU_HEADER_BYTES)
			break;
		if (vu_msg_parse(data + 1, VU_HEADER_BYTES + payload, nr_fds, &m, NULL) < 0)
			break;
		for (size_t i = 0; i < nr_fds; i++)
			fds[i] = make_fd(data[0] >> 4);
		if (vu_handle(&vu, &m, fds, nr_fds, &out, NULL) < 0)
			break;
		buf_reset(&out);
		/* the guest writes too: the bytes of the message, into the rings */
		if (m.request == VU_SET_OWNER)
			memcpy(ram, data, size < RAM ? size : RAM);
		data += 1 + VU_HEADER_BYTES + payload;
		size -= 1 + VU_HEADER_BYTES + payload;
	}
	vu_fini(&vu);
	return 0;
}
