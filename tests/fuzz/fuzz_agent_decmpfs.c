/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <stdlib.h>

#include "agent/decmpfs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Type, two bytes of what it must give (0: a whole block), the block. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct decmpfs_head h;
	uint8_t *out;
	size_t want;

	(void)decmpfs_parse(data, len, &h);
	if (len < 3)
		return 0;
	want = data[1] | (size_t)data[2] << 8;
	want = want ? want : DECMPFS_BLOCK;
	out = malloc(want);
	if (out)
		(void)decmpfs_decode(data[0] & 15, data + 3, len - 3, out, want);
	free(out);
	return 0;
}
