/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/session/disks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

static int open_raw(const char *path, struct source **ret, struct err *err)
{
	/* Non-blocking: a FIFO must not hold us up. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), r;

	if (fd < 0)
		return err_set(err, -errno, "open '%s'", path);
	r = source_open_raw(fd, ret, err);
	return r < 0 ? err_ctx(err, r, "'%s'", path) : 0;
}

static int open_one(struct disks *d, const struct session_disk *sd, struct source **ret, struct err *err)
{
	int r;

	if (!d->snapshot)
		return open_raw(sd->file, ret, err);
	r = snapshot_open_image(d->snapshot, sd->archive, ret, err);
	return r < 0 ? err_ctx(err, r, "disk '%s'", sd->name) : 0;
}

static int open_tools(struct disks *d, const char *lib_dir, struct err *err)
{
	CLEANUP_FREE char *path = NULL;

	if (asprintf(&path, "%s/tools.img", lib_dir) < 0) {
		path = NULL;
		return err_set(err, -ENOMEM, "open tools.img");
	}
	if (access(path, F_OK) < 0)
		return 0;	/* disks that need tools say so when they are opened */
	d->has_tools = true;
	return open_raw(path, &d->sources[d->nr++], err);
}

int disks_open(struct disks *d, const struct session_spec *spec, const char *lib_dir, struct err *err)
{
	int r = 0;

	d->spec = spec;
	if (spec->repository) {
		r = store_open(spec->repository, &d->store, err);
		if (r == 0)
			store_set_lock(d->store, spec->lock);
		if (r == 0)
			r = snapshot_open_key(d->store, spec->ns ? spec->ns : "", spec->snapshot, spec->key, &d->snapshot, err);
	}
	for (size_t i = 0; r == 0 && i < spec->nr_disks; i++) {
		r = open_one(d, &spec->disks[i], &d->sources[i], err);
		if (r == 0)
			d->nr++;
	}
	if (r == 0)
		r = open_tools(d, lib_dir, err);
	for (uint32_t i = 0; r == 0 && i < d->nr; i++)
		if (d->sources[i]->raw_fd < 0 && d->sources[i]->unit_bytes > d->unit_max)
			d->unit_max = d->sources[i]->unit_bytes;
	if (r < 0)
		disks_close(d);
	return r;
}

void disks_close(struct disks *d)
{
	for (size_t i = 0; i < sizeof(d->sources) / sizeof(*d->sources); i++)
		source_close(d->sources[i]);
	if (d->snapshot)
		snapshot_close(d->snapshot);
	if (d->store)
		store_close(d->store);
	*d = (struct disks){ 0 };
}

const char *disks_name(const struct disks *d, uint32_t slot)
{
	return slot < d->spec->nr_disks ? d->spec->disks[slot].name : WIRE_SERIAL_TOOLS;
}

void disks_fwcfg(const struct disks *d, struct buf *ret)
{
	for (size_t i = 0; i < d->spec->nr_disks; i++)
		buf_fmt(ret, "%04zu %s\n", i, d->spec->disks[i].name);
}
