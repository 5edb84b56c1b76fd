/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_LIB_DEV_RIG_H
#define TESTS_LIB_DEV_RIG_H

/* A device process under test: plays the session's part of the link, and starts QEMU with the guest of dev_guest.c. */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/link/link.h"

#define RIG_SLOTS 4
#define RIG_CACHE_SLOTS 8
#define RIG_UNIT (1u << 20)

struct rig_disk {
	const uint8_t *data;		/* chunked: the contents */
	uint64_t size;
	int64_t bad_unit;		/* cannot be read; -1: none */
};

struct rig {
	pid_t dev, qemu;
	int dev_status;			/* as waitpid() gives it, after rig_stop() */
	int link;
	int ram_fd, cache_fd;
	uint8_t *cache;
	struct rig_disk disk[RIG_SLOTS];
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool ready, agent, ended;
	unsigned int done, failed, wants, ioerrs;
	int failed_code;
	char fatal[LINK_TEXT_MAX];
};

/** rig_why_not() - why no VM can be started here; NULL if one can. */
const char *rig_why_not(void);
/** rig_start() - device process and VM; returns when the guest is ready. @booting is called meanwhile. Return: 0 or -1. */
int rig_start(struct rig *r, const char *self, void (*booting)(void));
void rig_stop(struct rig *r);

void rig_insert_raw(struct rig *r, uint32_t slot, int fd, uint64_t size);
void rig_insert_chunked(struct rig *r, uint32_t slot, const uint8_t *data, uint64_t size, int64_t bad_unit);

/** rig_connect() - a stream to guest port @port. */
int rig_connect(struct rig *r, uint32_t port);
/** rig_command() - a stream on which @line was sent to the guest. */
int rig_command(struct rig *r, const char *line);
/** rig_ask() - a command's whole answer, at most @room - 1 bytes, as a string. */
void rig_ask(struct rig *r, const char *line, char *ret, size_t room);
/** rig_wait_ends() - until @n clients have ended. */
void rig_wait_ends(struct rig *r, unsigned int n);

#endif
