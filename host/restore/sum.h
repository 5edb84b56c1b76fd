/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_RESTORE_SUM_H
#define HOST_RESTORE_SUM_H

/* SHA-256 of a file as it is in the end, the zeros of its holes included; or of nothing, if none is wanted. */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct evp_md_ctx_st;

struct sum {
	struct evp_md_ctx_st *md;	/* NULL: not wanted */
	uint64_t off;			/* bytes so far */
	int error;
	uint8_t value[32];
};

/** sum_new() - @wanted: else everything below does nothing but count. Return: 0; -ENOMEM. */
int sum_new(struct sum *ret, bool wanted, struct err *err);
void sum_free(struct sum *s);

/** sum_begin() - another file. */
void sum_begin(struct sum *s);
void sum_add(struct sum *s, const void *p, size_t len);

/** sum_upto() - zeros up to byte @off. @abort: may be NULL; ends it. Return: 0; -EINTR. */
int sum_upto(struct sum *s, uint64_t off, const volatile sig_atomic_t *abort, struct err *err);

/** sum_end() - @size: at least so many bytes. @ret: the sum, until the next file; NULL if not wanted. Return: 0; negative errno. */
int sum_end(struct sum *s, uint64_t size, const volatile sig_atomic_t *abort, const uint8_t **ret, struct err *err);

#endif
