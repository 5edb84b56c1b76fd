/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/grow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int grow(void *array, size_t *room, size_t nr, size_t size)
{
	const size_t more = *room ? 2 * *room : 16;
	void *p;

	if (nr < *room)
		return 0;
	memcpy(&p, array, sizeof(p));
	p = reallocarray(p, more, size);
	if (!p)
		return -ENOMEM;
	memcpy(array, &p, sizeof(p));
	*room = more;
	return 0;
}
