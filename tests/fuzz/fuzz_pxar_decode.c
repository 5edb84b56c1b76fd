/* SPDX-License-Identifier: GPL-2.0-or-later */
/* First byte: decoder flags, and from bit 2 the size of the pieces; the rest is the stream. */
#include <stdint.h>

#include "common/pxar/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct pxar_dec *d = len ? pxar_dec_new(data[0] & 3) : NULL;
	struct pxar_event ev = { .type = PXAR_EV_ENTRY };
	size_t step, at = 1;
	int r = 0;

	if (!d)
		return 0;
	step = data[0] >> 2 ? data[0] >> 2 : len;
	while (r >= 0 && ev.type != PXAR_EV_END) {
		r = pxar_dec_next(d, &ev, NULL);
		if (r == 0 && at == len)
			pxar_dec_eof(d);
		if (r == 0 && at < len) {
			const size_t n = len - at < step ? len - at : step;

			pxar_dec_feed(d, data + at, n);
			at += n;
		}
	}
	pxar_dec_free(d);
	return 0;
}
