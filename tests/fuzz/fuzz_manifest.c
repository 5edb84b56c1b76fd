/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>

#include "common/buf.h"
#include "host/source/store/key.h"
#include "host/source/store/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct crypt_key key;
	struct buf out = BUF_INIT;
	struct crypt_key loaded;
	struct manifest *m;

	if (manifest_parse(data, len, &m, NULL) == 0) {
		(void)manifest_canonical(m, &out);
		(void)manifest_check_key(m, &key, NULL);
		manifest_free(m);
	}
	if (key_load((const char *)data, len, NULL, 0, &loaded, NULL) == 0)
		crypt_key_wipe(&loaded);
	buf_free(&out);
	return 0;
}
