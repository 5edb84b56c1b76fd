/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Streams with private items through the extractor, as tar and, with filters and changes, as a plan. First byte: odd with
 * private items; from bit 1 on the size of the pieces.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/restore/restore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct bytes {
	const uint8_t *p;
	size_t left, step;
};

static ssize_t read_bytes(void *arg, void *p, size_t n, struct err *err)
{
	struct bytes *b = arg;

	(void)err;
	n = n < b->step ? n : b->step;
	n = n < b->left ? n : b->left;
	memcpy(p, b->p, n);
	b->p += n;
	b->left -= n;
	return (ssize_t)n;
}

static void note(void *arg, const char *path, size_t path_len, int code, const char *what)
{
	size_t *sum = arg;

	for (size_t i = 0; i < path_len; i++)
		*sum += (uint8_t)path[i];
	*sum += strlen(what) + (size_t)(code != 0);
}

static void plan(const uint8_t *data, size_t len, const struct restore_sink *sink)
{
	struct bytes b = { data + 1, len - 1, SIZE_MAX };
	struct restore_options o = { .container = true, .set_uid = true, .xattrs = RESTORE_XATTRS_USER };
	struct restore_report report = { 0 };
	struct filter *f = filter_new();
	struct restore_target *t;

	if (f && filter_add(f, false, "*[a-f]*", 7, NULL) == 0 && filter_add(f, true, "?", 1, NULL) == 0 &&
	    restore_plan_new(RESTORE_ZIP, -1, &t, NULL) == 0) {
		o.filter = f;
		(void)restore_stream(t, &o, PXAR_DEC_EXT, read_bytes, &b, sink, &report, NULL);
		restore_free(t);
	}
	filter_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static int out = -1;
	struct bytes b = { data + 1, len - 1, len && data[0] >> 1 ? data[0] >> 1 : SIZE_MAX };
	const struct restore_options o = { .skip_root = true };
	struct restore_report report = { 0 };
	struct restore_target *tar;
	size_t sum = 0;
	const struct restore_sink sink = { .note = note, .arg = &sum };

	if (out < 0)
		out = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (!len || restore_tar_new(out, &tar, NULL) < 0)
		return 0;
	if (restore_stream(tar, &o, data[0] & 1 ? PXAR_DEC_EXT : 0, read_bytes, &b, &sink, &report, NULL) == 0)
		(void)restore_finish(tar, NULL);
	restore_free(tar);
	plan(data, len, &sink);
	return 0;
}
