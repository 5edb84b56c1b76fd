/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * archive_lookup STORE SNAPSHOT FILE DIRS FILES NR: looks NR paths up, at random, in an archive as "archive_store ... entries:DIRS:FILES"
 * makes it. Prints seconds of wall and CPU, chunks read, bytes of decoded chunks held at most.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/archive/access.h"
#include "host/archive/stream.h"
#include "host/source/store/store.h"

static void must(int r, const struct err *err)
{
	if (r >= 0)
		return;
	(void)fprintf(stderr, "archive_lookup: %s\n", err->text);
	exit(1);
}

static double now(clockid_t which)
{
	struct timespec t;

	(void)clock_gettime(which, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct access_member *m = access_member_new();
	struct err err = ERR_INIT;
	struct stream_stat stat;
	struct snapshot *sn;
	struct chunks *c;
	struct source *s;
	struct access *a;
	struct store *st;
	unsigned int dirs, files, nr, seed = 1;
	double wall, cpu;
	char path[64];

	if (argc != 7 || !m)
		return 2;
	dirs = (unsigned int)atoi(argv[4]);
	files = (unsigned int)atoi(argv[5]);
	nr = (unsigned int)atoi(argv[6]);
	wall = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	must(store_open(argv[1], &st, &err), &err);
	must(snapshot_open(st, "", argv[2], &sn, &err), &err);
	must(snapshot_open_archive(sn, argv[3], &c, &err), &err);
	must(stream_open(c, STREAM_CACHE_BYTES, &s, &err), &err);
	must(access_open(s, NULL, &a, &err), &err);
	for (unsigned int i = 0; i < nr; i++) {
		unsigned int d = (unsigned int)rand_r(&seed) % dirs, f = (unsigned int)rand_r(&seed) % files;

		(void)snprintf(path, sizeof(path), "d%06u/f%06u", d, f);
		must(access_find(a, path, strlen(path), m, &err), &err);
	}
	stream_stat(s, &stat);
	(void)printf("%.3f %.3f %" PRIu64 " %zu\n", now(CLOCK_MONOTONIC) - wall, now(CLOCK_PROCESS_CPUTIME_ID) - cpu, stat.loads,
		     stat.peak_bytes);
	access_free(a);
	source_close(s);
	snapshot_close(sn);
	store_close(st);
	access_member_free(m);
	return 0;
}
