/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device process with a real QEMU and a real guest kernel. Skipped where there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "host/dev/dev.h"
#include "tests/lib/dev_rig.c"

#define MIB (1u << 20)
#define RAW_BYTES (64 * MIB)
#define CHUNKED_BYTES (64 * MIB + 300)		/* an odd length */
#define SPEED_BYTES (256ll * MIB)

static const char *self_path;
static struct rig rig;
static uint8_t *raw_data, *chunked_data;
static int raw_fd;

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint8_t *noise(size_t n, uint64_t seed)
{
	uint8_t *p = calloc(1, n + 8);

	for (size_t i = 0; i < n; i += 8) {
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
		memcpy(p + i, &seed, 8);
	}
	return p;
}

/*
 * In whatever state QEMU and the guest's driver are: the first disk comes at once, the second most likely between QEMU's reading of
 * the capacity and the driver's start, when QEMU ignores changes. Both must be there in the end.
 */
static void insert_disks(void)
{
	rig_insert_raw(&rig, 0, raw_fd, RAW_BYTES);
	(void)poll(NULL, 0, 150);
	rig_insert_chunked(&rig, 1, chunked_data, CHUNKED_BYTES, -1);
}

static int setup(void **state)
{
	(void)state;
	if (rig_why_not())
		return 0;
	raw_data = noise(RAW_BYTES, 1);
	chunked_data = noise(CHUNKED_BYTES, 2);
	memset(chunked_data + 10 * MIB, 0, 7 * MIB);
	memset(chunked_data + CHUNKED_BYTES, 0, 8);
	raw_fd = memfd_create("raw", MFD_CLOEXEC);
	if (io_write_full(raw_fd, raw_data, RAW_BYTES) < 0 || rig_start(&rig, self_path, insert_disks) < 0)
		return -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (!rig_why_not())
		rig_stop(&rig);
	return 0;
}

static void require_vm(void)
{
	if (rig_why_not()) {
		print_message("skipped: %s\n", rig_why_not());
		skip();
	}
}

/* The guest sees a new size a moment after the insertion. */
static void wait_for_size(unsigned int slot, const char *want)
{
	char line[32], got[64];

	(void)snprintf(line, sizeof(line), "size %u\n", slot);
	for (int i = 0; i < 500; i++) {
		rig_ask(&rig, line, got, sizeof(got));
		if (!strcmp(got, want))
			return;
		(void)poll(NULL, 0, 10);
	}
	assert_string_equal(got, want);
}

/* Compares a stream with @want and then zeros up to @total. */
static void check_stream(int fd, const uint8_t *want, size_t len, size_t total)
{
	static uint8_t buf[256 << 10];
	size_t at = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		size_t part = at < len ? (len - at < (size_t)n ? len - at : (size_t)n) : 0;

		assert_true(at + (size_t)n <= total);
		assert_memory_equal(buf, want + at, part);
		for (size_t i = part; i < (size_t)n; i++)
			assert_int_equal(buf[i], 0);
		at += (size_t)n;
	}
	assert_int_equal(at, total);
	(void)close(fd);
}

static void test_sizes(void **state)
{
	(void)state;
	require_vm();
	wait_for_size(0, "67108864 raw-0\n");
	wait_for_size(1, "67109376 chunked-1\n");
	wait_for_size(2, "0 \n");
}

static void test_contents(void **state)
{
	int a, b;

	(void)state;
	require_vm();
	check_stream(rig_command(&rig, "cat 0\n"), raw_data, RAW_BYTES, RAW_BYTES);
	check_stream(rig_command(&rig, "cat 1\n"), chunked_data, CHUNKED_BYTES, 67109376);
	/* both at once, each with the other's bytes in the way */
	a = rig_command(&rig, "cat 1\n");
	b = rig_command(&rig, "cat 0\n");
	check_stream(b, raw_data, RAW_BYTES, RAW_BYTES);
	check_stream(a, chunked_data, CHUNKED_BYTES, 67109376);
	print_message("%u units wanted\n", rig.wants);
}

static void test_late_insertion(void **state)
{
	(void)state;
	require_vm();
	wait_for_size(2, "0 \n");
	rig_insert_chunked(&rig, 2, chunked_data, 3 * MIB, -1);
	wait_for_size(2, "3145728 chunked-2\n");
	check_stream(rig_command(&rig, "cat 2\n"), chunked_data, 3 * MIB, 3 * MIB);
}

static void test_bad_unit(void **state)
{
	char got[64];

	(void)state;
	require_vm();
	rig_insert_chunked(&rig, 3, chunked_data, 32 * MIB, 20);
	wait_for_size(3, "33554432 chunked-3\n");
	rig_ask(&rig, "at 3 20975616\n", got, sizeof(got));
	assert_string_equal(got, "errno 5\n");
	/* it is asked for again, and the rest can be read */
	rig.disk[3].bad_unit = -1;
	check_stream(rig_command(&rig, "at 3 20975616\n"), chunked_data + 20975616, 4096, 4096);
	check_stream(rig_command(&rig, "at 3 1048576\n"), chunked_data + 1048576, 4096, 4096);
}

static void test_refused(void **state)
{
	unsigned int failed;
	char c;
	int fd;

	(void)state;
	require_vm();
	failed = rig.failed;
	fd = rig_connect(&rig, 9999);
	assert_int_equal(read(fd, &c, 1), 0);
	while (rig.failed == failed)
		(void)poll(NULL, 0, 1);
	assert_int_equal(rig.failed_code, -ECONNREFUSED);
	(void)close(fd);
}

static void test_many(void **state)
{
	static uint8_t buf[MIB];
	int fd[32];

	(void)state;
	require_vm();
	for (int i = 0; i < 32; i++)
		fd[i] = rig_command(&rig, "echo\n");
	for (int i = 0; i < 32; i++)
		assert_int_equal(io_write_full(fd[i], raw_data + i * 5000, 100000), 0);
	for (int i = 31; i >= 0; i--) {
		assert_int_equal(io_read_full(fd[i], buf, 100000), 0);
		assert_memory_equal(buf, raw_data + i * 5000, 100000);
		(void)shutdown(fd[i], SHUT_WR);
	}
	for (int i = 0; i < 32; i++) {
		assert_int_equal(read(fd[i], buf, 1), 0);
		(void)close(fd[i]);
	}
}

/* The stream that "gen" makes. */
static void check_gen(int fd, long long total, unsigned int pause_ms)
{
	static __thread uint8_t buf[256 << 10];
	long long at = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i += 64)
			if (buf[i] != (uint8_t)((at + i) / 4096))
				fail_msg("byte %lld", at + i);
		at += n;
		if (pause_ms)
			(void)poll(NULL, 0, (int)pause_ms);
	}
	assert_true(at == total);
	(void)close(fd);
}

static void test_slow_beside_fast(void **state)
{
	char line[32], c;
	double t;
	int slow, fast;

	(void)state;
	require_vm();
	(void)snprintf(line, sizeof(line), "gen %lld\n", SPEED_BYTES);
	slow = rig_command(&rig, line);
	assert_int_equal(recv(slow, &c, 1, MSG_PEEK), 1);
	fast = rig_command(&rig, line);
	t = now();
	check_gen(fast, SPEED_BYTES, 0);
	t = now() - t;
	print_message("guest to host beside a stopped reader: %.0f MB/s\n", (double)SPEED_BYTES / t / 1e6);
	check_gen(slow, SPEED_BYTES, 1);
}

/* Many connections at once; one of them never reads, the others get all of theirs. */
static void test_one_of_many_stuck(void **state)
{
	enum { NR = 24 };	/* more processes do not fit into this guest */
	static uint8_t buf[64 << 10];
	size_t got[NR] = { 0 };
	unsigned int before;
	int fd[NR];

	(void)state;
	require_vm();
	before = rig.done + rig.failed;
	for (int i = 0; i < NR; i++)
		fd[i] = rig_command(&rig, i ? "gen 1048576\n" : "gen 268435456\n");
	for (int i = NR - 1; i > 0; i--) {
		ssize_t n;

		while ((n = read(fd[i], buf, sizeof(buf))) > 0)
			got[i] += (size_t)n;
		assert_int_equal(n, 0);
		assert_int_equal(got[i], 1048576);
		(void)close(fd[i]);
	}
	(void)close(fd[0]);
	rig_wait_ends(&rig, before + NR);
	assert_string_equal(rig.fatal, "");
}

static void test_speed(void **state)
{
	static uint8_t copy[256 << 10];
	char line[64], got[64];
	long long bytes, ns;
	unsigned int done;
	double t = now();
	int fd;

	(void)state;
	require_vm();
	done = rig.done;
	fd = rig_command(&rig, "sink\n");
	assert_int_equal(io_write_full(fd, raw_data, RAW_BYTES), 0);
	(void)shutdown(fd, SHUT_WR);
	assert_true(read(fd, got, sizeof(got)) > 0);
	assert_memory_equal(got, "67108864\n", 9);
	print_message("host to guest: %.0f MB/s\n", RAW_BYTES / (now() - t) / 1e6);
	(void)close(fd);
	(void)snprintf(line, sizeof(line), "gen %lld\n", SPEED_BYTES);
	t = now();
	fd = rig_command(&rig, line);
	while (read(fd, copy, sizeof(copy)) > 0)
		;
	print_message("guest to host: %.0f MB/s\n", (double)SPEED_BYTES / (now() - t) / 1e6);
	(void)close(fd);
	for (int slot = 0; slot < 2; slot++) {
		(void)snprintf(line, sizeof(line), "null %d\n", slot);
		rig_ask(&rig, line, got, sizeof(got));
		assert_int_equal(sscanf(got, "%lld %lld", &bytes, &ns), 2);
		print_message("%s disk: %.0f MB/s\n", slot ? "chunked" : "raw", (double)bytes * 1e3 / (double)ns);
	}
	t = now();
	for (int i = 0; i < 200; i++)
		rig_ask(&rig, "size 2\n", got, sizeof(got));
	print_message("connect, ask, answer, end: %.2f ms\n", (now() - t) * 1e3 / 200);
	rig_wait_ends(&rig, done + 204);
}

/* A client that leaves in the middle ends its own connection only. */
static void test_client_leaves(void **state)
{
	unsigned int before;
	char line[32], c;
	int fd;

	(void)state;
	require_vm();
	before = rig.done + rig.failed;
	(void)snprintf(line, sizeof(line), "gen %lld\n", SPEED_BYTES);
	for (int i = 0; i < 20; i++) {
		fd = rig_command(&rig, line);
		if (i % 2)
			assert_int_equal(read(fd, &c, 1), 1);
		(void)close(fd);
	}
	rig_wait_ends(&rig, before + 20);
	assert_string_equal(rig.fatal, "");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_contents),
		cmocka_unit_test(test_late_insertion),
		cmocka_unit_test(test_bad_unit),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_slow_beside_fast),
		cmocka_unit_test(test_one_of_many_stuck),
		cmocka_unit_test(test_speed),
		cmocka_unit_test(test_client_leaves),
	};

	if (argc > 1 && !strcmp(argv[1], "__device"))
		return dev_main(3);
	self_path = argv[0];
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, setup, teardown);
}
