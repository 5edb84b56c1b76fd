/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Verification of snapshots in a store of our own: what is whole, lost, changed and cut, and how often it is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "host/source/store/check.h"
#include "host/source/store/digest.h"
#include "tests/lib/shell.h"

#define CHUNK (4u << 20)
#define NR_CHUNKS 3u
#define TIME INT64_C(1704067200)

static const char *const names[] = { "vm/100/2024-01-01T00:00:00Z", "vm/100/2024-01-01T00:00:01Z" };
static char dir[] = "/tmp/pluck-check-XXXXXX";
static struct store *store;
static uint8_t digest[NR_CHUNKS][DIGEST_BYTES];

/* What the sink was told of one snapshot. */
struct seen {
	unsigned int nr_files, nr_progress;
	size_t nr_chunks, nr_ranges;
	uint64_t off[4], len[4];
	uint8_t digest[4][DIGEST_BYTES];
	char why[4][128], error[128];	/* error: of the image */
	int file_result, progress_result;
};

static int on_progress(void *arg, const struct check_stats *s)
{
	struct seen *seen = arg;

	assert_true(s->bad <= s->chunks);
	seen->nr_progress++;
	return seen->progress_result;
}

static int on_file(void *arg, const struct check_file *f)
{
	struct seen *seen = arg;

	seen->nr_files++;
	assert_false(f->sealed);
	if (strcmp(f->name, "drive-scsi0.img.fidx") != 0) {
		assert_true(!f->nr_ranges && !f->nr_chunks && !f->error);
		return seen->file_result;
	}
	seen->nr_chunks = f->nr_chunks;
	seen->nr_ranges = f->nr_ranges;
	(void)snprintf(seen->error, sizeof(seen->error), "%s", f->error ? f->error : "");
	for (size_t i = 0; i < f->nr_ranges; i++) {
		assert_true(i < 4);
		seen->off[i] = f->range[i].off;
		seen->len[i] = f->range[i].len;
		memcpy(seen->digest[i], f->range[i].digest, DIGEST_BYTES);
		(void)snprintf(seen->why[i], sizeof(seen->why[i]), "%s", f->range[i].why);
	}
	return seen->file_result;
}

static int look(struct check *c, const char *name, struct seen *s)
{
	const struct check_sink sink = { on_progress, on_file, s };
	struct snapshot *sn;
	int r;

	assert_int_equal(snapshot_open(store, "", name, &sn, NULL), 0);
	r = check_snapshot(c, sn, &sink, NULL);
	snapshot_close(sn);
	return r;
}

static const char *chunk_path(unsigned int i)
{
	static char path[256];
	char hex[DIGEST_HEX + 1];

	digest_to_hex(digest[i], hex);
	(void)snprintf(path, sizeof(path), "%s/.chunks/%.4s/%s", dir, hex, hex);
	return path;
}

/* Each thing that may be wrong with the middle chunk, by one thread and by many. */
static void test_damage(void **state)
{
	static const struct { const char *spoil, *mend; uint64_t bad; } rows[] = {
		{ "true", "true", 0 },
		{ "mv %1$s %1$s.away", "mv %1$s.away %1$s", 1 },
		{ "cp -p %1$s %1$s.away; truncate -s -1 %1$s", "mv -f %1$s.away %1$s", 1 },
		{ "cp -p %1$s %1$s.away; : >%1$s", "mv -f %1$s.away %1$s", 1 },
		{ "cp -p %1$s %1$s.away; printf x | dd of=%1$s bs=1 seek=5000 conv=notrunc status=none", "mv -f %1$s.away %1$s", 1 },
		{ "mv %1$s %1$s.away; cp %2$s %1$s", "mv -f %1$s.away %1$s", 1 },
	};

	(void)state;
	for (size_t i = 0; i < 2 * (sizeof(rows) / sizeof(*rows)); i++) {
		const uint64_t bad = rows[i / 2].bad;
		char one[256], two[256], cmd[1024];
		struct seen s = { 0 };
		struct check *c;

		(void)snprintf(one, sizeof(one), "%s", chunk_path(1));
		(void)snprintf(two, sizeof(two), "%s", chunk_path(2));
		/* The formats are those of the table. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(cmd, sizeof(cmd), rows[i / 2].spoil, one, two);
		assert_int_equal(shell("%s", cmd), 0);
		assert_int_equal(check_new(store, i % 2 ? 4 : 1, &c, NULL), 0);
		assert_int_equal(look(c, names[0], &s), 0);
		assert_int_equal(s.nr_files, 2);
		assert_int_equal(s.nr_chunks, NR_CHUNKS);
		assert_int_equal(s.nr_ranges, bad);
		if (bad) {
			assert_int_equal(s.off[0], CHUNK);
			assert_int_equal(s.len[0], CHUNK);
			assert_memory_equal(s.digest[0], digest[1], DIGEST_BYTES);
			assert_true(s.why[0][0]);
		}
		assert_int_equal(check_stats(c).chunks, NR_CHUNKS);
		assert_int_equal(check_stats(c).bad, bad);
		/* The other snapshot has the same chunks: the same is known of it, and nothing read again. */
		s = (struct seen){ 0 };
		assert_int_equal(look(c, names[1], &s), 0);
		assert_int_equal(s.nr_ranges, bad);
		assert_int_equal(check_stats(c).chunks, NR_CHUNKS);
		check_free(c);
		(void)snprintf(cmd, sizeof(cmd), rows[i / 2].mend, one, two);
#pragma GCC diagnostic pop
		assert_int_equal(shell("%s", cmd), 0);
	}
}

/* An index that is of no use is told as that, and the small file behind it is still looked at. */
static void test_index(void **state)
{
	static const char *const spoil[] = { "truncate -s -32 i", "truncate -s 100 i", ": >i", "rm i",
					     "printf xxxx | dd of=i bs=1 seek=4100 conv=notrunc status=none" };

	(void)state;
	for (size_t i = 0; i < sizeof(spoil) / sizeof(*spoil); i++) {
		struct seen s = { 0 };
		struct check *c;

		assert_int_equal(shell("cd %s/%s && cp -p drive-scsi0.img.fidx i && cp -p i keep && { %s; } && { [ ! -e i ] && rm drive-scsi0.img.fidx "
				       "|| mv -f i drive-scsi0.img.fidx; }", dir, names[0], spoil[i]), 0);
		assert_int_equal(check_new(store, 2, &c, NULL), 0);
		assert_int_equal(look(c, names[0], &s), 0);
		assert_int_equal(s.nr_files, 2);
		assert_true(s.error[0]);
		assert_int_equal(s.nr_ranges, 0);
		check_free(c);
		assert_int_equal(shell("cd %s/%s && mv -f keep drive-scsi0.img.fidx", dir, names[0]), 0);
	}
}

/* The caller may end it. */
static void test_ended(void **state)
{
	struct seen file = { .file_result = -EPIPE }, progress = { .progress_result = -EINTR };
	struct check *c;

	(void)state;
	assert_int_equal(check_new(store, 4, &c, NULL), 0);
	assert_int_equal(look(c, names[0], &file), -EPIPE);
	assert_int_equal(file.nr_files, 1);
	check_free(c);
	assert_int_equal(check_new(store, 4, &c, NULL), 0);
	assert_int_equal(look(c, names[0], &progress), -EINTR);
	assert_true(progress.nr_progress >= 1 && !progress.nr_files);
	check_free(c);
}

static int setup(void **state)
{
	CLEANUP_CLOSE int image = memfd_create("image", MFD_CLOEXEC), conf = memfd_create("conf", MFD_CLOEXEC);
	const struct backup_input in[] = { { "drive-scsi0.img", image }, { "qemu-server.conf", conf } };
	CLEANUP_FREE uint8_t *data = malloc(CHUNK);
	struct backup_stats st;
	uint32_t x = 1;

	(void)state;
	if (!data || !mkdtemp(dir) || shell("mkdir -m 750 %s/.chunks", dir) || io_write_full(conf, "memory: 512\n", 12) < 0)
		return -1;
	for (unsigned int c = 0; c < NR_CHUNKS; c++) {
		for (size_t i = 0; i < CHUNK; i++, x = x * 1664525 + 1013904223)
			data[i] = (uint8_t)(x >> 24);
		if (digest_sha256(data, CHUNK, NULL, 0, digest[c]) < 0 || io_write_full(image, data, CHUNK) < 0)
			return -1;
	}
	if (store_open(dir, &store, NULL) < 0)
		return -1;
	for (int i = 0; i < 2; i++)
		if (store_backup(store, "", "vm", "100", TIME + i, in, 2, NULL, NULL, &st, NULL) < 0)
			return -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_close(store);
	return shell("rm -rf %s", dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damage), cmocka_unit_test(test_index), cmocka_unit_test(test_ended),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
