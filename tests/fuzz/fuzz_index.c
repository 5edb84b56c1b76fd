/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <stdlib.h>

#include "tests/lib/index_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct index_dynamic d = { 0 };
	struct index_fixed f = { 0 };
	uint64_t sum = 0;
	size_t at;

	if (index_fixed_parse(data, len, &f, NULL) == 0) {
		for (size_t i = 0; i < f.nr_chunks; i++)
			sum += index_fixed_chunk_len(&f, i) + 0u * *index_fixed_digest(&f, i);
		if (sum != f.size_bytes)
			abort();
	}
	if (index_dynamic_parse(data, len, &d, NULL) == 0)
		for (size_t i = 0; i < d.nr_chunks; i++)
			if (index_dynamic_find(&d, index_dynamic_start(&d, i), &at) < 0 || at != i)
				abort();
	return 0;
}
