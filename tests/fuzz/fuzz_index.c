/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <stdlib.h>

#include "tests/lib/index_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	for (int is_fixed = 0; is_fixed < 2; is_fixed++) {
		struct index x = { 0 };

		if (index_of_bytes(data, len, is_fixed, &x, NULL) < 0)
			continue;
		for (size_t i = 0; i < x.nr_chunks; i++) {
			const uint8_t *d = index_digest(&x, i);

			if (index_find(&x, index_start(&x, i)) != i || d < x.entries.p || d + 32 > x.entries.p + x.entries.len ||
			    index_start(&x, i + 1) <= index_start(&x, i))
				abort();
		}
		if (index_start(&x, x.nr_chunks) != x.size_bytes)
			abort();
		index_free(&x);
	}
	return 0;
}
