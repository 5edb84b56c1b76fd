/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/acl.h"
#include "agent/btrfs.h"
#include "agent/holes.h"
#include "agent/links.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/pxar/encode.h"
#include "common/pxar/format.h"

#define E(tag, perm, id) tag, 0, perm, 0, (id) & 255, (id) >> 8 & 255, (id) >> 16 & 255, (id) >> 24 & 255
#define NONE 0xffffffffu
#define HEAD 2, 0, 0, 0
#define BASE E(1, 6, NONE), E(4, 4, NONE), E(32, 0, NONE)

static const struct {
	const char *name;
	uint8_t in[64];
	size_t len;
	int want;
	size_t nr;
	bool mask;
} acl_cases[] = {
	{ "minimal", { HEAD, BASE }, 28, 0, 0, false },
	{ "user and mask", { HEAD, E(1, 6, NONE), E(2, 7, 1000), E(4, 4, NONE), E(16, 7, NONE), E(32, 0, NONE) }, 44, 0, 1, true },
	{ "mask alone", { HEAD, BASE, E(16, 7, NONE) }, 36, 0, 0, true },
	{ "empty", { 0 }, 0, -EBADMSG, 0, false },
	{ "version 1", { 1, 0, 0, 0, BASE }, 28, -EBADMSG, 0, false },
	{ "cut", { HEAD, BASE }, 27, -EBADMSG, 0, false },
	{ "no other", { HEAD, BASE }, 20, -EBADMSG, 0, false },
	{ "twice user_obj", { HEAD, BASE, E(1, 6, NONE) }, 36, -EBADMSG, 0, false },
	{ "bad permission", { HEAD, E(1, 8, NONE), E(4, 4, NONE), E(32, 0, NONE) }, 28, -EBADMSG, 0, false },
	{ "bad tag", { HEAD, BASE, E(64, 4, NONE) }, 36, -EBADMSG, 0, false },
	{ "named without mask", { HEAD, BASE, E(8, 4, 5) }, 36, -EBADMSG, 0, false },
	{ "too many", { HEAD, BASE, E(16, 7, NONE), E(8, 4, 5), E(8, 4, 6), E(2, 4, 7) }, 60, -E2BIG, 0, false },
};

static void test_acl(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(acl_cases) / sizeof(*acl_cases); i++) {
		struct pxar_acl_entry v[2];
		struct acl_base base = { 0 };
		size_t nr = 99;

		print_message("%s\n", acl_cases[i].name);
		assert_int_equal(acl_parse(acl_cases[i].in, acl_cases[i].len, false, v, 2, &nr, &base), acl_cases[i].want);
		if (acl_cases[i].want) {
			assert_int_equal(nr, 99);
			continue;
		}
		assert_int_equal(nr, acl_cases[i].nr);
		assert_int_equal(base.has_mask, acl_cases[i].mask);
		assert_int_equal(base.group_obj, 4);
		if (nr) {
			assert_true(v[0].type == PXAR_ACL_USER);
			assert_int_equal(v[0].id, 1000);
		}
	}
}

/* Whatever the parser lets through of a hostile disk's ACL, the encoder takes: it must never end the stream. */
static void test_acl_encodes(void **state)
{
	uint8_t in[] = { HEAD, E(1, 6, NONE), E(2, 7, 1000), E(4, 4, NONE), E(16, 7, NONE), E(32, 0, NONE) };
	struct pxar_entry root = { .name = "", .kind = PXAR_KIND_DIR, .mode = S_IFDIR | 0755 };
	unsigned int accepted = 0;

	(void)state;
	for (size_t bit = 0; bit < 8 * sizeof(in); bit++) {
		struct pxar_acl_entry v[8];
		struct acl_base base;
		struct buf out = { 0 };
		struct pxar_enc *enc = pxar_enc_new(&out, PXAR_ENC_EXT);
		size_t nr = 0;

		assert_non_null(enc);
		in[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (acl_parse(in, sizeof(in), bit % 2, v, 8, &nr, &base) == 0) {
			accepted++;
			assert_true(base.user_obj <= 7 && base.group_obj <= 7 && base.other <= 7 && base.mask <= 7);
			root.acls = v;
			root.nr_acls = nr;
			assert_int_equal(pxar_enc_entry(enc, &root), 0);
		}
		in[bit / 8] ^= (uint8_t)(1 << bit % 8);
		pxar_enc_free(enc);
		buf_free(&out);
	}
	assert_in_range(accepted, 1, 8 * sizeof(in) - 1);
}

static void test_holes(void **state)
{
	CLEANUP(holes_free) struct holes h = { 0 };
	uint64_t end = 0;

	(void)state;
	assert_int_equal(holes_add(&h, 0, 10), 0);
	assert_int_equal(holes_add(&h, 10, 10), 0);
	assert_int_equal(holes_add(&h, 30, 0), 0);
	assert_int_equal(holes_add(&h, 40, 10), 0);
	assert_int_equal(h.nr, 2);
	assert_int_equal(holes_data(&h), 30);
	holes_free(&h);
	for (uint64_t i = 0; i < 3 * PXAR_SEGMENTS_MAX; i++)
		assert_int_equal(holes_add(&h, i * 1048576, 4096), 0);
	assert_in_range(h.nr, 1, PXAR_SEGMENTS_MAX);
	for (size_t i = 0; i < h.nr; i++) {
		assert_true(h.v[i].off >= end && h.v[i].len);
		end = h.v[i].off + h.v[i].len;
	}
	assert_true(end == (3 * (uint64_t)PXAR_SEGMENTS_MAX - 1) * 1048576 + 4096);
}

static void test_map(void **state)
{
	CLEANUP_FILE FILE *f = tmpfile();
	CLEANUP(holes_free) struct holes h = { 0 };

	(void)state;
	assert_non_null(f);
	assert_int_equal(ftruncate(fileno(f), 1 << 20), 0);
	assert_int_equal(pwrite(fileno(f), "x", 1, 524288), 1);
	assert_int_equal(holes_map(fileno(f), 1 << 20, &h), 0);
	assert_in_range(holes_data(&h), 1, 1 << 20);
	for (size_t i = 0; i < h.nr; i++)
		assert_true(h.v[i].off + h.v[i].len <= 1 << 20);
}

static void test_links(void **state)
{
	CLEANUP(links_free) struct links l = { 0 };
	char path[64];

	(void)state;
	assert_null(links_find(&l, 1, 2, 3));
	for (unsigned int i = 0; i < 300000; i++) {
		snprintf(path, sizeof(path), "dir/file-%u", i);
		links_add(&l, i % 3, 1, i, i * 10, path);
	}
	for (unsigned int i = 0; i < 1000; i++) {
		const struct link_entry *e = links_find(&l, i % 3, 1, i);

		snprintf(path, sizeof(path), "dir/file-%u", i);
		assert_non_null(e);
		assert_int_equal(e->pos, i * 10);
		assert_string_equal(links_path(&l, e), path);
		assert_null(links_find(&l, (i + 1) % 3, 1, i));
	}
	assert_true(l.room * sizeof(*l.v) + l.paths.room <= LINKS_MEMORY_MAX);
	assert_null(links_find(&l, 299999 % 3, 1, 299999));
}

static void test_btrfs_super(void **state)
{
	uint8_t s[4096] = { 0 };
	struct btrfs_super b;

	(void)state;
	assert_int_equal(btrfs_parse_super(s, &b), -EBADMSG);
	memcpy(s + 0x40, "_BHRfS_M", 8);
	s[0x20] = 7;
	s[0x88] = 2;
	s[0xc9] = 1;
	assert_int_equal(btrfs_parse_super(s, &b), 0);
	assert_int_equal(b.fsid[0], 7);
	assert_int_equal(b.nr_devices, 2);
	assert_int_equal(b.devid, 1);
	assert_false(b.seed);
	s[0x38 + 4] = 1;
	assert_int_equal(btrfs_parse_super(s, &b), 0);
	assert_true(b.seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_acl),   cmocka_unit_test(test_acl_encodes), cmocka_unit_test(test_holes),	   cmocka_unit_test(test_map),
		cmocka_unit_test(test_links), cmocka_unit_test(test_btrfs_super),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
