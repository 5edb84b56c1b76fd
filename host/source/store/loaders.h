/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_STORE_LOADERS_H
#define HOST_SOURCE_STORE_LOADERS_H

/*
 * What one chunk needs on its way in (decompressor, buffers), kept for the next reader: each read takes one or makes
 * one, and puts it back.
 */

#include <pthread.h>
#include <stdint.h>

#include "host/source/store/chunk.h"

#define LOADERS_KEPT 8

struct loader {
	struct chunk_loader chunk;
	uint8_t *unit;		/* one chunk's contents, made by who wants a part of a chunk; malloc'ed */
	struct loader *next;
};

struct loaders {
	pthread_mutex_t lock;
	struct loader *idle;
	unsigned int nr_idle;
};

/** loaders_init() - an empty list. Release with loaders_free() when nobody has one any more. */
void loaders_init(struct loaders *s);
void loaders_free(struct loaders *s);

/** loaders_get() - thread safe. Return: NULL without memory. */
struct loader *loaders_get(struct loaders *s);
void loaders_put(struct loaders *s, struct loader *l);

#endif
