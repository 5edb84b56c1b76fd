/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Patterns up to the last two NULs, and a path behind them. */
#include <stdint.h>
#include <string.h>

#include "common/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *two = len ? memmem(data, len, "\0\0", 2) : NULL;
	const size_t n = two ? (size_t)(two - data) + 1 : len;
	struct filter *f = filter_new();
	const struct filter_pos top = { 0 };

	if (f && filter_parse(f, data, n, NULL) == 0 && len > n + 1)
		(void)filter_look(f, &top, (const char *)data + n + 1, len - n - 1, len & 1);
	filter_free(f);
	return 0;
}
