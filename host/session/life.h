/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SESSION_LIFE_H
#define HOST_SESSION_LIFE_H

/*
 * What one VM of a session leaves to the next. The broker of a VM ends with it, since after its confinement it can start no other one; the
 * keeper of the session outlives them and starts the next broker. The two share this memory and nothing else: the broker
 * writes it while it lives, the keeper checks it then.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/wire.h"

#define LIFE_VMS_MAX 16		/* VMs of one session, so that a disk cannot make it start them for ever */

struct life {
	uint32_t nr_vms;		/* so far, with the one that runs */
	/* ports of work (common/wire.h): never again; and in work with others when a VM ended */
	uint32_t nr_left_out, left_out[WIRE_LEFT_OUT_MAX];
	uint32_t nr_suspects, suspects[WIRE_LEFT_OUT_MAX];
	bool again;			/* somebody wants a new VM */
	uint32_t ended_vm;		/* the last that ended by a failure, and why; 0: none has */
	struct err reason;
};

/**
 * life_blame() - a VM ended while @nr ports were in work
 * One alone is left out from now on. Of several each is suspected, and left out if it was so before.
 * Return: how many are newly left out or suspected.
 */
unsigned int life_blame(struct life *l, const uint32_t *ports, size_t nr);

/** life_is_left_out() */
bool life_is_left_out(const struct life *l, uint32_t port);

/** life_check() - may what a broker wrote be believed? @before: as it was. Return: 0; -EPROTO. */
int life_check(const struct life *l, const struct life *before);

#endif
