/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/restore/pump.h"

#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"

#define PUMP_SIZE ((size_t)256 << 10)

CLEANUP_DEFINE(struct pxar_dec *, pxar_dec_free)

static int refill(const struct pump *p, struct pxar_dec *d, uint8_t *bytes, struct err *err)
{
	ssize_t n = p->read(p->read_arg, bytes, PUMP_SIZE, err);

	if (n < 0)
		return (int)n;
	if (n)
		pxar_dec_feed(d, bytes, (size_t)n);
	else
		pxar_dec_eof(d);
	return 0;
}

static int step(const struct pump *p, struct pxar_dec *d, uint8_t *bytes, struct err *err)
{
	struct pxar_event ev;
	int r;

	if (p->abort && *p->abort)
		return err_set(err, -EINTR, "extraction");
	r = pxar_dec_next(d, &ev, err);
	if (r < 0)
		return r;
	if (r == 0)
		return refill(p, d, bytes, err);
	return ev.type == PXAR_EV_END ? 1 : p->event(p->arg, &ev, err);
}

int pump_run(const struct pump *p, struct err *err)
{
	CLEANUP(pxar_dec_freep) struct pxar_dec *d = pxar_dec_new(p->dec_flags);
	CLEANUP_FREE uint8_t *bytes = malloc(PUMP_SIZE);
	int r;

	if (!d || !bytes)
		return err_set(err, -ENOMEM, "archive");
	do
		r = step(p, d, bytes, err);
	while (r == 0);
	if (r < 0 && p->broken)
		p->broken(p->arg, r);
	return r < 0 ? r : 0;
}
