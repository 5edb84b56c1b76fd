/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Paths and disks of the command line. First byte: base64, and how the disk is named; the rest is the path. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "host/cli/target.h"
#include "host/source/store/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const struct target_path *p)
{
	const char *b = (const char *)p->bytes.data;

	if (p->root)
		return;
	if (memchr(b, 0, p->bytes.len) || memmem(b, p->bytes.len, "//", 2) || memmem(b, p->bytes.len, "/../", 4) ||
	    b[p->bytes.len - 1] == '/' || p->archive_len > p->bytes.len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char disk_opt[] = "--disk", null[] = "sda=/dev/null", image[] = "drive-scsi0.img.fidx=/dev/null", path[] = "/";
	char *argv[] = { disk_opt, len && data[0] & 2 ? image : null, path };
	struct target_path p;
	struct target t;
	struct args a;
	char text[300];
	size_t pos = 0;

	if (!len)
		return 0;
	if (args_parse(&cmd_list, 3, argv, &a, NULL) < 0 || target_parse(&a, &pos, &t, NULL) < 0)
		abort();
	if (target_path(&t, (const char *)data + 1, len - 1, data[0] & 1, &p, NULL) == 0) {
		check(&p);
		target_path_free(&p);
	}
	target_free(&t);
	args_free(&a);
	if (len < sizeof(text)) {
		memcpy(text, data + 1, len - 1);
		text[len - 1] = 0;
		(void)target_is_snapshot(text);
		(void)names_check_ns(text);
	}
	return 0;
}
