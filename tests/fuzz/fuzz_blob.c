/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <stdlib.h>

#include "common/buf.h"
#include "host/source/store/blob.h"
#include "host/source/store/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct crypt_key key;
	struct blob_codec *c = blob_codec_new();
	struct buf out = BUF_INIT;
	uint8_t exact[64];

	(void)blob_decode(data, len, len % 2 ? &key : NULL, 1 << 20, &out, NULL);
	if (c)
		(void)blob_decode_exact(c, data, len, &key, exact, sizeof(exact), NULL);
	blob_codec_free(c);
	buf_free(&out);
	return 0;
}
