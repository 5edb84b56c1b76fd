/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "host/session/control.h"
#include "host/session/damage.h"
#include "host/session/spec.h"
#include "host/session/state.h"
#include "host/source/store/key.h"

#define HASH "00112233445566778899aabbccddeeff"

static char base[64];

static int setup(void **state)
{
	(void)state;
	(void)snprintf(base, sizeof(base), "/tmp/pluck-test-XXXXXX");
	return mkdtemp(base) && setenv("XDG_RUNTIME_DIR", base, 1) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	char cmd[128];

	(void)state;
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", base);
	return system(cmd) ? -1 : 0;
}

static void make_file(char *path, size_t room, const char *name, size_t bytes)
{
	CLEANUP_CLOSE int fd = -1;

	(void)snprintf(path, room, "%s/%s", base, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
}

static void test_locks(void **state)
{
	CLEANUP_CLOSE int dir = -1;
	struct err err = ERR_INIT;
	int lock, other;

	(void)state;
	dir = state_open_dir(&err);
	assert_true(dir >= 0);
	assert_int_equal(state_alive(dir, HASH), 0);
	lock = state_lock(dir, HASH, "live", false);
	assert_true(lock >= 0);
	assert_int_equal(state_alive(dir, HASH), 1);
	assert_int_equal(state_lock(dir, HASH, "live", false), -EWOULDBLOCK);
	/* A lock on a file whose name is gone says nothing about the name. */
	state_remove_stale(dir, HASH);
	assert_int_equal(state_alive(dir, HASH), 0);
	other = state_lock(dir, HASH, "live", false);
	assert_true(other >= 0);
	(void)close(lock);
	assert_int_equal(state_alive(dir, HASH), 1);
	(void)close(other);
	assert_int_equal(state_alive(dir, HASH), 0);
	lock = state_lock(dir, HASH, "start", true);
	state_unlock(dir, HASH, "start", lock);
	assert_int_equal(faccessat(dir, HASH ".start", F_OK, 0), -1);
}

static void test_dir_modes(void **state)
{
	struct err err = ERR_INIT;
	char path[96];
	int dir;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/pluck", base);
	assert_int_equal(chmod(path, 0770), 0);
	assert_int_equal(state_open_dir(&err), -EPERM);
	assert_int_equal(chmod(path, 0700), 0);
	dir = state_open_dir(&err);
	assert_true(dir >= 0);
	(void)close(dir);
}

/* One that accepts nobody keeps nobody for ever. */
static void check_full(int dir)
{
	int fds[256], r = 0;
	size_t nr = 0;

	while (r >= 0 && nr < sizeof(fds) / sizeof(*fds)) {
		r = state_connect(dir, HASH);
		if (r >= 0)
			fds[nr++] = r;
	}
	assert_int_equal(r, -ETIMEDOUT);
	assert_true(nr > 60);
	while (nr)
		(void)close(fds[--nr]);
}

static void test_socket(void **state)
{
	char deep[200];
	int dir, listener, fd;
	struct err err = ERR_INIT;
	struct stat st;

	(void)state;
	/* Longer than a socket address. */
	(void)snprintf(deep, sizeof(deep), "%s/%0120d", base, 0);
	assert_int_equal(mkdir(deep, 0700), 0);
	assert_int_equal(setenv("XDG_RUNTIME_DIR", deep, 1), 0);
	dir = state_open_dir(&err);
	assert_true(dir >= 0);
	assert_int_equal(state_connect(dir, HASH), -ENOENT);
	listener = state_listen(dir, HASH, &err);
	assert_true(listener >= 0);
	assert_int_equal(fstatat(dir, HASH ".sock", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	fd = state_connect(dir, HASH);
	assert_true(fd >= 0);
	(void)close(fd);
	check_full(dir);
	(void)close(listener);
	assert_int_equal(state_connect(dir, HASH), -ECONNREFUSED);
	state_remove_socket(dir, HASH);
	(void)close(dir);
	assert_int_equal(setenv("XDG_RUNTIME_DIR", base, 1), 0);
	assert_true(state_is_hash(HASH ".live", ".live"));
	assert_false(state_is_hash("0" HASH ".live", ".live"));
	assert_false(state_is_hash(HASH ".sock", ".live"));
}

static void test_hash(void **state)
{
	char a[STATE_HASH_LEN + 1], b[STATE_HASH_LEN + 1], f1[96], f2[96];
	struct err err = ERR_INIT;

	(void)state;
	make_file(f1, sizeof(f1), "one", 4096);
	make_file(f2, sizeof(f2), "two", 4096);
	struct session_disk d[] = { { "x", f1, NULL }, { "y", f2, NULL } };
	struct session_spec s = { .disks = d, .nr_disks = 2 };

	assert_int_equal(spec_hash(&s, a, &err), 0);
	assert_true(state_is_hash(a, ""));
	d[0] = (struct session_disk){ "y", f2, NULL };
	d[1] = (struct session_disk){ "x", f1, NULL };
	assert_int_equal(spec_hash(&s, b, &err), 0);
	assert_string_equal(a, b);
	d[0].name = "z";
	assert_int_equal(spec_hash(&s, b, &err), 0);
	assert_string_not_equal(a, b);
	d[0].name = "y";
	make_file(f2, sizeof(f2), "two", 8192);
	assert_int_equal(spec_hash(&s, b, &err), 0);
	assert_string_not_equal(a, b);
	assert_int_equal(spec_hash(&s, a, &err), 0);
	s.mount = "fs-type ext4\n";
	assert_int_equal(spec_hash(&s, b, &err), 0);
	assert_string_not_equal(a, b);
	d[0].file = "/nonexistent";
	assert_int_equal(spec_hash(&s, b, &err), -ENOENT);
	s.repository = "/nonexistent";
	assert_int_equal(spec_hash(&s, b, &err), -ENOENT);
}

static void test_spec_json(void **state)
{
	CLEANUP(spec_copy_freep) struct spec_copy *c = NULL;
	CLEANUP_FREE char *text = NULL;
	struct session_disk d[] = { { "odd \xff\"name\t", "/does/not/\xfe exist", NULL }, { "b", "/dev/null", NULL } };
	struct session_spec s = { .disks = d, .nr_disks = 2, .memory_mib = 256, .idle_timeout_s = 7,
				  .mount = "fs-type ext4\nfs-allow ext4,xfs\n" };
	struct err err = ERR_INIT;
	const struct session_spec *got;

	(void)state;
	text = spec_to_json(&s);
	assert_non_null(text);
	assert_int_equal(spec_from_json(text, strlen(text), &c, &err), 0);
	got = spec_copy_get(c);
	assert_int_equal(got->nr_disks, 2);
	assert_string_equal(got->disks[0].name, d[0].name);
	assert_string_equal(got->disks[0].file, d[0].file);
	assert_null(got->disks[0].archive);
	assert_null(got->repository);
	assert_int_equal(got->memory_mib, 256);
	assert_int_equal(got->idle_timeout_s, 7);
	assert_string_equal(got->mount, s.mount);
	s.mount = "fs-type \x1b\n";
	assert_int_equal(spec_check(&s, &err), -EINVAL);
	s.mount = "fs-type ext4";
	assert_int_equal(spec_check(&s, &err), -EINVAL);
	/* Cut anywhere it is an error. */
	for (size_t i = 0; i < strlen(text); i++) {
		struct spec_copy *none = NULL;

		assert_true(spec_from_json(text, i, &none, &err) < 0);
		assert_null(none);
	}
}

static void test_spec_check(void **state)
{
	struct session_disk d[] = { { "a", "/x", NULL }, { "b", "/y", NULL } };
	struct session_spec s = { .disks = d, .nr_disks = 2 };
	static const char *const bad[] = { "", "a/b", "..", "x\ny" };

	(void)state;
	assert_int_equal(spec_check(&s, NULL), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		d[1].name = bad[i];
		assert_int_equal(spec_check(&s, NULL), -EINVAL);
	}
	d[1].name = "a";
	assert_int_equal(spec_check(&s, NULL), -EINVAL);
	d[1].name = "b";
	s.memory_mib = 1;
	assert_int_equal(spec_check(&s, NULL), -EINVAL);
	s.memory_mib = 0;
	s.repository = "/r";
	assert_int_equal(spec_check(&s, NULL), -EINVAL);
	s.nr_disks = 0;
	assert_int_equal(spec_check(&s, NULL), -EINVAL);
}

static const struct {
	const char *name;
	struct control_header h;
	int want;
} headers[] = {
	{ "ok", { CONTROL_MAGIC, CONTROL_OK, 0, 64 }, 0 },
	{ "error", { CONTROL_MAGIC, CONTROL_ERROR, -ENOENT, 3 }, 0 },
	{ "magic", { 1, CONTROL_OK, 0, 0 }, -EPROTO },
	{ "kind 0", { CONTROL_MAGIC, 0, 0, 0 }, -EPROTO },
	{ "kind 4", { CONTROL_MAGIC, 4, 0, 0 }, -EPROTO },
	{ "error without code", { CONTROL_MAGIC, CONTROL_ERROR, 0, 0 }, -EPROTO },
	{ "positive error", { CONTROL_MAGIC, CONTROL_ERROR, 2, 0 }, -EPROTO },
	{ "ok with code", { CONTROL_MAGIC, CONTROL_OK, -2, 0 }, -EPROTO },
	{ "too long", { CONTROL_MAGIC, CONTROL_OK, 0, CONTROL_PAYLOAD_MAX + 1 }, -EPROTO },
};

static void test_control(void **state)
{
	struct control_request rq = { .magic = CONTROL_MAGIC, .op = CONTROL_CONNECT };
	CLEANUP_FREE char *payload = NULL;
	struct control_header h;
	char next[4];
	int sv[2];

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		print_message("%s\n", headers[i].name);
		assert_int_equal(control_check_header(&headers[i].h), headers[i].want);
	}
	assert_int_equal(control_check_request(&rq), 0);
	rq.op = CONTROL_WHY + 1;
	assert_int_equal(control_check_request(&rq), -EPROTO);
	rq = (struct control_request){ .magic = CONTROL_MAGIC, .op = CONTROL_CONNECT, .has_key = 2 };
	assert_int_equal(control_check_request(&rq), -EPROTO);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(control_send(sv[0], CONTROL_OK, 0, "hello", 5, false), 0);
	assert_int_equal(write(sv[0], "HTTP", 4), 4);
	assert_int_equal(control_recv(sv[1], 1000, &h, &payload), 0);
	assert_string_equal(payload, "hello");
	/* Not one byte of what follows was taken. */
	assert_int_equal(read(sv[1], next, 4), 4);
	assert_memory_equal(next, "HTTP", 4);
	assert_int_equal(control_recv(sv[1], 1, &h, &payload), -ETIMEDOUT);
	(void)close(sv[0]);
	assert_int_equal(control_recv(sv[1], 1000, &h, &payload), -ENODATA);
	(void)close(sv[1]);
}

/* The key goes beside the spec's text, never into it. */
static void test_key(void **state)
{
	const struct session_disk disk = { .name = "d", .archive = "d.img.fidx" };
	struct session_spec spec = { .repository = "/tmp", .ns = "", .snapshot = "vm/1/2024-01-01T00:00:00Z", .disks = &disk, .nr_disks = 1 };
	CLEANUP(spec_copy_freep) struct spec_copy *copy = NULL;
	CLEANUP_FREE char *with = NULL, *without = NULL;
	char hash[STATE_HASH_LEN + 1], again[STATE_HASH_LEN + 1];
	uint8_t data[KEY_BYTES];
	struct crypt_key key;

	(void)state;
	memset(data, 'K', sizeof(data));
	assert_int_equal(crypt_key_init(&key, data), 0);
	without = spec_to_json(&spec);
	assert_int_equal(spec_hash(&spec, hash, NULL), 0);
	spec.key = &key;
	with = spec_to_json(&spec);
	assert_int_equal(spec_hash(&spec, again, NULL), 0);
	assert_string_equal(with, without);
	assert_string_equal(hash, again);
	assert_int_equal(spec_from_json(with, strlen(with), &copy, NULL), 0);
	assert_null(spec_copy_get(copy)->key);
	assert_int_equal(spec_copy_set_key(copy, data, NULL), 0);
	assert_memory_equal(spec_copy_get(copy)->key->fingerprint, key.fingerprint, sizeof(key.fingerprint));
}

static const char *disk_name(void *arg, uint32_t disk)
{
	(void)arg;
	return disk ? "b" : "a";
}

static void expect_page(const struct damage *d, size_t first, const char *want)
{
	CLEANUP_FREE char *text = damage_json(d, first, disk_name, NULL);

	assert_non_null(text);
	assert_string_equal(text, want);
}

static void test_damage(void **state)
{
	struct damage d = { 0 };

	(void)state;
	expect_page(&d, 0, "{\"ranges\":[],\"listed\":0,\"unlisted\":0,\"unlisted-bytes\":0,\"uncounted\":false}");
	damage_add(&d, 1, 4096, 512, "bad \"chunk\"");
	damage_add(&d, 1, 4096, 512, "again");
	damage_add(&d, 1, 4200, 8, "a part of it");
	damage_add(&d, 1, 4096, 0, "nothing");
	expect_page(&d, 0, "{\"ranges\":[{\"disk\":\"b\",\"offset\":4096,\"length\":512,\"error\":\"bad \\\"chunk\\\"\"}],"
			   "\"listed\":1,\"unlisted\":0,\"unlisted-bytes\":0,\"uncounted\":false}");
	expect_page(&d, 1, "{\"ranges\":[],\"listed\":1,\"unlisted\":0,\"unlisted-bytes\":0,\"uncounted\":false}");
	damage_add(&d, 0, 4096, 512, "of another disk");
	damage_add(&d, 1, UINT64_MAX - 1, 512, "beyond all");
	assert_int_equal(d.nr, 3);
	assert_int_equal(d.ranges[2].len, 1);
	damage_free(&d);
}

/* What is not listed is counted: no byte twice, in whatever order and size it comes. */
static void test_damage_counts(void **state)
{
	struct damage d = { 0 };
	CLEANUP_FREE char *page = NULL;

	(void)state;
	for (uint64_t i = 0; i < DAMAGE_LISTED; i++)
		damage_add(&d, 0, i * 1024, 512, "x");
	assert_int_equal(d.nr, DAMAGE_LISTED);
	assert_int_equal(d.unlisted, 0);
	damage_add(&d, 0, 0, 512, "listed");
	assert_int_equal(d.unlisted, 0);
	damage_add(&d, 0, 256, 1024, "between two, and halves of both");
	assert_int_equal(d.unlisted, 1);
	assert_int_equal(d.unlisted_bytes, 512);
	damage_add(&d, 0, 512, 512, "known now");
	damage_add(&d, 0, 0, (uint64_t)DAMAGE_LISTED * 1024, "all that is between");
	assert_int_equal(d.unlisted, 2);
	assert_int_equal(d.unlisted_bytes, DAMAGE_LISTED * 512);
	assert_int_equal(d.nr_extents, 1);
	/* downwards, on another disk */
	for (uint64_t i = 1000; i--;)
		damage_add(&d, 1, i * 8192, 4096, "y");
	assert_int_equal(d.unlisted, 1002);
	assert_int_equal(d.unlisted_bytes, DAMAGE_LISTED * 512 + 1000 * 4096);
	assert_int_equal(d.nr_extents, 1001);
	page = damage_json(&d, DAMAGE_LISTED - 1, disk_name, NULL);
	assert_non_null(strstr(page, "\"offset\":4193280,"));
	assert_non_null(strstr(page, "\"listed\":4096,\"unlisted\":1002,\"unlisted-bytes\":6193152,\"uncounted\":false}"));
	/* more pieces than it knows: what is new is not known, and that is said */
	for (uint64_t i = 0; i < DAMAGE_EXTENTS; i++)
		damage_add(&d, 2, i * 1024, 512, "z");
	assert_int_equal(d.nr_extents, DAMAGE_EXTENTS);
	assert_int_equal(d.unlisted, 1002 + DAMAGE_EXTENTS - 1001);
	assert_true(d.uncounted);
	damage_add(&d, 2, 512, 512, "what joins two needs no room");
	assert_int_equal(d.unlisted_bytes, 6193152 + (DAMAGE_EXTENTS - 1001) * 512ull + 512);
	damage_free(&d);
	assert_null(d.extents);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_locks),	  cmocka_unit_test(test_dir_modes),  cmocka_unit_test(test_socket), cmocka_unit_test(test_hash),
		cmocka_unit_test(test_spec_json), cmocka_unit_test(test_spec_check), cmocka_unit_test(test_control), cmocka_unit_test(test_key),
		cmocka_unit_test(test_damage),	  cmocka_unit_test(test_damage_counts),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
