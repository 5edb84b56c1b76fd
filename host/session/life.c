/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/session/life.h"

#include <errno.h>
#include <string.h>

static bool has(const uint32_t *list, uint32_t nr, uint32_t port)
{
	for (uint32_t i = 0; i < nr; i++)
		if (list[i] == port)
			return true;
	return false;
}

static unsigned int add(uint32_t *list, uint32_t *nr, uint32_t port)
{
	if (*nr == WIRE_LEFT_OUT_MAX || has(list, *nr, port))
		return 0;
	list[(*nr)++] = port;
	return 1;
}

bool life_is_left_out(const struct life *l, uint32_t port)
{
	return has(l->left_out, l->nr_left_out, port);
}

unsigned int life_blame(struct life *l, const uint32_t *ports, size_t nr)
{
	unsigned int news = 0;
	bool alone = true;

	for (size_t i = 1; i < nr; i++)
		alone &= ports[i] == ports[0];
	for (size_t i = 0; i < nr; i++) {
		if (life_is_left_out(l, ports[i]))
			continue;
		/* The same port twice in one list is no second time. */
		if (has(ports, (uint32_t)i, ports[i]))
			continue;
		if (alone || has(l->suspects, l->nr_suspects, ports[i]))
			news += add(l->left_out, &l->nr_left_out, ports[i]);
		else
			news += add(l->suspects, &l->nr_suspects, ports[i]);
	}
	return news;
}

static int check_list(const uint32_t *list, uint32_t nr, const uint32_t *old, uint32_t nr_old)
{
	if (nr > WIRE_LEFT_OUT_MAX || nr < nr_old || memcmp(list, old, nr_old * sizeof(*old)) != 0)
		return -EPROTO;
	for (uint32_t i = 0; i < nr; i++)
		if (!(list[i] & WIRE_WORK_PORT))
			return -EPROTO;
	return 0;
}

int life_check(const struct life *l, const struct life *before)
{
	uint8_t again;

	memcpy(&again, &l->again, 1);
	if (again > 1 || l->nr_vms != before->nr_vms || !memchr(l->reason.text, 0, sizeof(l->reason.text)) ||
	    l->reason.code > 0 || l->reason.code < -4095)
		return -EPROTO;
	if (check_list(l->left_out, l->nr_left_out, before->left_out, before->nr_left_out) < 0)
		return -EPROTO;
	return check_list(l->suspects, l->nr_suspects, before->suspects, before->nr_suspects);
}
