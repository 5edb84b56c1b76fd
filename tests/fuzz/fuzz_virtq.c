/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "host/dev/vu/virtq.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM 16384u

/* First byte: ring size and features. The rest is guest memory: the rings lie at its beginning, so they are hostile as a whole. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *ram = aligned_alloc(4096, RAM);
	struct vu_ram all = { .base = ram, .size_bytes = RAM };
	struct vu_region region[2] = { { 0, 8192, 1 << 20, 0 }, { 65536, 8192, 2 << 20, 8192 } };
	struct vu_mem mem = { .ram = &all };
	struct virtq q = { .mem = &mem };
	static struct virtq_chain c;
	uint64_t avail;
	int got = 0;

	memset(ram, 0, RAM);
	if (size && vu_mem_set(&mem, region, 2, NULL) == 0) {
		q.size = (uint16_t)(1u << (data[0] & 7));
		q.event_idx = data[0] & 8;
		q.indirect = data[0] & 16;
		memcpy(ram, data + 1, size - 1 < RAM ? size - 1 : RAM);
		avail = (1 << 20) + 16u * q.size;
		if (virtq_start(&q, 1 << 20, avail, avail + 2 * ((8u + 2 * q.size) & ~1u), NULL) == 0)
			while (got++ < 300 && virtq_pop(&q, &c, NULL) > 0) {
				for (size_t i = 0; i < c.nr_out + c.nr_in; i++) {
					uint8_t *p = c.iov[i].iov_base;

					if (i >= c.nr_out)
						p[0] ^= p[c.iov[i].iov_len - 1];
					else
						got += p[0] & p[c.iov[i].iov_len - 1] & 1;
				}
				virtq_push(&q, c.head, (uint32_t)c.in_bytes);
				(void)virtq_must_notify(&q);
				(void)virtq_kicks_on(&q);
				virtq_kicks_off(&q);
			}
	}
	free(ram);
	return 0;
}
