/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/source/store/loaders.h"

#include <stdlib.h>

static void loader_free(struct loader *l)
{
	if (!l)
		return;
	chunk_loader_free(&l->chunk);
	free(l->unit);
	free(l);
}

void loaders_init(struct loaders *s)
{
	*s = (struct loaders){ 0 };
	(void)pthread_mutex_init(&s->lock, NULL);
}

void loaders_free(struct loaders *s)
{
	while (s->idle) {
		struct loader *l = s->idle;

		s->idle = l->next;
		loader_free(l);
	}
	(void)pthread_mutex_destroy(&s->lock);
}

struct loader *loaders_get(struct loaders *s)
{
	struct loader *l;

	(void)pthread_mutex_lock(&s->lock);
	l = s->idle;
	if (l) {
		s->idle = l->next;
		s->nr_idle--;
	}
	(void)pthread_mutex_unlock(&s->lock);
	if (l)
		return l;
	l = calloc(1, sizeof(*l));
	if (l && chunk_loader_init(&l->chunk) < 0) {
		free(l);
		return NULL;
	}
	return l;
}

void loaders_put(struct loaders *s, struct loader *l)
{
	(void)pthread_mutex_lock(&s->lock);
	if (s->nr_idle < LOADERS_KEPT) {
		l->next = s->idle;
		s->idle = l;
		s->nr_idle++;
		l = NULL;
	}
	(void)pthread_mutex_unlock(&s->lock);
	loader_free(l);
}
