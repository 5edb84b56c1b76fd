/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Key files without a passphrase, and the first bytes as a command line. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "host/cli/secret.h"
#include "host/source/store/key_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	CLEANUP_FREE char *line = strndup((const char *)p, len < 4096 ? len : 4096), **words = NULL;
	CLEANUP_BUF struct buf paper = BUF_INIT;
	struct crypt_key key;
	struct key_info info;
	int64_t t;

	if (key_file_info((const char *)p, len, &info, NULL) == 0) {
		(void)key_time_parse(info.created, &t);
		(void)key_hint_check(info.hint);
	}
	(void)key_file_paper((const char *)p, len, NULL, &paper, NULL);
	(void)key_load((const char *)p, len, NULL, 0, &key, NULL);
	if (line)
		(void)secret_split(line, &words);
	return 0;
}
