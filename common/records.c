/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/records.h"

#include <string.h>

#include "common/cleanup.h"

int records_add(struct records *x, const void *record)
{
	return spool_add(&x->all, record, x->size);
}

int records_get(struct records *x, uint64_t i, void *ret)
{
	if (i < x->first || i - x->first >= x->nr) {
		const uint64_t left = records_nr(x) - i, most = RECORDS_WINDOW / x->size;
		int r;

		x->first = i;
		x->nr = (size_t)(left < most ? left : most);
		r = spool_read(&x->all, i * x->size, x->window, x->nr * x->size);
		if (r < 0) {
			x->nr = 0;
			return r;
		}
	}
	memcpy(ret, x->window + (i - x->first) * x->size, x->size);
	return 0;
}

int records_cut(struct records *x, uint64_t nr)
{
	if (x->first + x->nr > nr)
		x->nr = 0;
	return spool_cut(&x->all, nr * x->size);
}

int records_sort(struct records *x, uint64_t from, sorter_compare *compare)
{
	CLEANUP(sorter_free) struct sorter s = { .compare = compare };
	_Alignas(8) uint8_t record[RECORDS_WINDOW];
	const void *p;
	size_t n;
	int r = 0;

	for (uint64_t i = from; i < records_nr(x) && r == 0; i++) {
		r = records_get(x, i, record);
		if (r == 0)
			r = sorter_add(&s, record, x->size);
	}
	if (r == 0)
		r = records_cut(x, from);
	if (r == 0)
		r = sorter_sort(&s);
	if (r < 0)
		return r;
	while ((r = sorter_next(&s, &p, &n)) == 1)
		if ((r = records_add(x, p)) < 0)
			break;
	return r;
}

void records_free(struct records *x)
{
	spool_free(&x->all);
	x->nr = 0;
}
