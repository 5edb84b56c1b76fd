/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/init.h"
#include "common/log.h"

int64_t agent_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec;
}

void agent_ping(struct agent *a)
{
	atomic_store(&a->shared->ping_s, agent_now());
}

int agent_set_load(struct agent *a, enum agent_load load)
{
	size_t n = 0;

	for (size_t i = 0; i < WIRE_CONN_MAX; i++)
		n += atomic_load(&a->shared->worker[i].load) == AGENT_EXTRACTING;
	if (load == AGENT_EXTRACTING && n >= WIRE_EXTRACT_MAX)
		return -EBUSY;
	atomic_store(&a->shared->worker[a->worker].load, (int)load);
	if (load == AGENT_IDLE)
		agent_ping(a);
	return 0;
}

int64_t agent_timeout(const struct agent *a)
{
	int64_t left = atomic_load(&a->shared->ping_s) + a->watchdog_s - agent_now();

	for (size_t i = 0; i < WIRE_CONN_MAX; i++)
		if (atomic_load(&a->shared->worker[i].load) != AGENT_IDLE)
			return a->watchdog_s;
	return left > 0 ? left : 0;
}

void agent_stop(struct agent *a, const char *reason)
{
	if (a->is_init)
		init_poweroff(reason);
	log_info("end: %s", reason);
	(void)kill(getppid(), SIGTERM);
	_exit(0);
}
