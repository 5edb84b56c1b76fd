/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "host/source/store/lock.h"
#include "host/source/store/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *s = malloc(len + 1), back[NAMES_SNAPSHOT_TEXT];
	struct buf out = BUF_INIT;
	struct snapshot_name n;
	int64_t t;

	if (!s)
		return 0;
	memcpy(s, data, len);
	s[len] = 0;
	(void)names_parse_time(s, len, &t);
	(void)names_file_kind(s, len);
	(void)names_stored(s, &out);
	(void)names_ns_path(s, &out);
	(void)names_compare_ids(s, "100");
	lock_file_name(s, &out);
	if (names_parse_snapshot(s, &n) == 0 && strcmp(names_format_snapshot(&n, back), s))
		abort();
	buf_free(&out);
	free(s);
	return 0;
}
