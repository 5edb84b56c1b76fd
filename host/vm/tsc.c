/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/vm/tsc.h"

#if defined(__x86_64__)
#include <linux/perf_event.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "common/cleanup.h"

/* The kernel's own number: ns = cycles * mult >> shift. */
static uint32_t from_perf(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .config = PERF_COUNT_SW_DUMMY,
					.exclude_kernel = 1, .exclude_hv = 1 };
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct perf_event_mmap_page *pc;
	CLEANUP_CLOSE int fd = -1;
	uint32_t khz = 0;

	fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return 0;
	pc = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0);
	if (pc == MAP_FAILED)
		return 0;
	if (pc->cap_user_time && pc->time_mult && pc->time_shift < 44)
		khz = (uint32_t)((UINT64_C(1000000) << pc->time_shift) / pc->time_mult);
	(void)munmap(pc, page);
	return khz;
}

struct sample {
	uint64_t ns, tsc;
};

/* The clock between two counter readings; the closest of several tries. */
static struct sample take_sample(void)
{
	struct sample best = { 0 };
	uint64_t best_gap = UINT64_MAX;

	for (int i = 0; i < 16; i++) {
		struct timespec ts;
		uint64_t a = __rdtsc(), b;

		(void)clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
		b = __rdtsc();
		if (b - a >= best_gap)
			continue;
		best_gap = b - a;
		best.tsc = a + (b - a) / 2;
		best.ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	}
	return best;
}

static uint32_t from_clock(void)
{
	const struct timespec wait = { .tv_nsec = 10000000 };
	struct sample a = take_sample(), b;

	(void)nanosleep(&wait, NULL);
	b = take_sample();
	if (b.ns <= a.ns || b.tsc <= a.tsc)
		return 0;
	return (uint32_t)((unsigned __int128)(b.tsc - a.tsc) * 1000000u / (b.ns - a.ns));
}

uint32_t tsc_khz(void)
{
	uint32_t khz = from_perf();

	return khz ? khz : from_clock();
}
#else
uint32_t tsc_khz(void)
{
	return 0;
}
#endif
