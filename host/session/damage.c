/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/session/damage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/grow.h"
#include "common/jsonw.h"

void damage_add(struct damage *d, uint32_t disk, uint64_t off, uint64_t len, const char *text)
{
	struct damage_range *r;

	for (size_t i = 0; i < d->nr; i++)
		if (d->ranges[i].disk == disk && d->ranges[i].off == off)
			return;
	if (d->nr == DAMAGE_MAX) {
		d->lost++;
		return;
	}
	if (grow(&d->ranges, &d->room, d->nr, sizeof(*d->ranges)) < 0) {
		d->lost++;
		return;
	}
	r = &d->ranges[d->nr++];
	r->disk = disk;
	r->off = off;
	r->len = len;
	(void)snprintf(r->text, sizeof(r->text), "%s", text);
}

void damage_free(struct damage *d)
{
	free(d->ranges);
	*d = (struct damage){ 0 };
}

char *damage_json(const struct damage *d, const char *(*disk_name)(void *arg, uint32_t disk), void *arg)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct jsonw w = JSONW(&b);

	jsonw_array_begin(&w);
	for (size_t i = 0; i < d->nr; i++) {
		jsonw_object_begin(&w);
		jsonw_key_string(&w, "disk", disk_name(arg, d->ranges[i].disk));
		jsonw_key_u64(&w, "offset", d->ranges[i].off);
		jsonw_key_u64(&w, "length", d->ranges[i].len);
		jsonw_key_string(&w, "error", d->ranges[i].text);
		jsonw_object_end(&w);
	}
	jsonw_array_end(&w);
	return buf_cstr(&b) ? strdup(buf_cstr(&b)) : NULL;
}
