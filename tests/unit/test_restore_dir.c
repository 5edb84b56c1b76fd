/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Archives made with the encoder or item by item, restored into a directory, and what is there afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/pxar/encode.h"
#include "common/pxar/format.h"
#include "host/restore/restore.h"

#define ROOT ((struct pxar_entry){ .name = "", .kind = PXAR_KIND_DIR, .mode = S_IFDIR | 0755 })

static char top[64];
static int target = -1;		/* top/target; top/canary must never change */
static struct buf ar;
static struct pxar_enc *enc;
static struct restore_report rep;
static char notes[8192];

static int setup(void **state)
{
	(void)state;
	(void)snprintf(top, sizeof(top), "/tmp/pluck-restore-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	(void)chmod(top, 0755);
	target = open(top, O_RDONLY | O_DIRECTORY);
	(void)mkdirat(target, "target", 0777);
	assert_int_equal(fchmodat(target, "target", 0777, 0), 0);
	(void)mkdirat(target, "canary", 0755);
	close(openat(target, "canary/file", O_CREAT | O_WRONLY, 0644));
	int fd = openat(target, "target", O_RDONLY | O_DIRECTORY);
	close(target);
	target = fd;
	buf_reset(&ar);
	ar.limit = 256u << 20;
	enc = pxar_enc_new(&ar, PXAR_ENC_EXT);
	assert_int_equal(pxar_enc_entry(enc, &ROOT), 0);
	return 0;
}

static int teardown(void **state)
{
	char cmd[512];
	struct stat st;

	(void)state;
	assert_int_equal(fstatat(target, "../canary/file", &st, 0), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(st.st_nlink, 1);
	(void)snprintf(cmd, sizeof(cmd), "[ \"$(ls -A %s)\" = \"$(printf 'canary\\ntarget')\" ] && [ \"$(ls -A %s/canary)\" = file ]", top, top);
	assert_int_equal(system(cmd), 0);
	(void)snprintf(cmd, sizeof(cmd), "chattr -R -i -a %s >&- 2>&-; rm -rf %s", top, top);
	assert_int_equal(system(cmd), 0);
	close(target);
	pxar_enc_free(enc);
	buf_free(&ar);
	return 0;
}

struct feed {
	size_t at, step;
};

static ssize_t feed_read(void *arg, void *p, size_t n, struct err *err)
{
	struct feed *f = arg;

	(void)err;
	if (f->step && n > f->step)
		n = f->step;
	if (n > ar.len - f->at)
		n = ar.len - f->at;
	memcpy(p, ar.data + f->at, n);
	f->at += n;
	return (ssize_t)n;
}

static void on_note(void *arg, const char *path, size_t len, int code, const char *what)
{
	size_t n = strlen(notes);

	(void)arg;
	(void)snprintf(notes + n, sizeof(notes) - n, "%.*s: %s: %s\n", (int)len, path, what, strerrorname_np(-code));
}

static void on_made(void *arg, const char *path, size_t len, const struct pxar_entry *e, bool replaced,
		    const uint8_t *sha256)
{
	size_t n = strlen(notes);

	(void)arg;
	(void)snprintf(notes + n, sizeof(notes) - n, "%s %.*s %" PRIu64 "%s", replaced ? "replaced" : "made", (int)len, path,
		       e->size, sha256 ? " " : "\n");
	for (size_t i = 0; sha256 && i < 32; i++)
		(void)snprintf(notes + strlen(notes), 4, "%02x%s", sha256[i], i == 31 ? "\n" : "");
}

static int restore(const struct restore_options *o)
{
	const struct restore_sink sink = { .note = on_note, .made = on_made };
	struct feed f = { .step = 4093 };
	struct restore_target *to;
	struct err err = ERR_INIT;
	int r;

	rep = (struct restore_report){ 0 };
	notes[0] = 0;
	assert_int_equal(restore_dir_new(target, &to, &err), 0);
	r = restore_stream(to, o, PXAR_DEC_EXT, feed_read, &f, &sink, &rep, &err);
	restore_free(to);
	print_message("%s%s%s", notes, r ? err.text : "", r ? "\n" : "");
	return r;
}

static const struct restore_options plain = { .skip_root = true };

static uint64_t add_entry(struct pxar_entry e, const void *data)
{
	uint64_t pos = pxar_enc_pos(enc);

	e.name_len = strlen(e.name);
	if (e.target)
		e.target_len = strlen(e.target);
	if (!e.uid && geteuid()) {
		e.uid = geteuid();
		e.gid = getegid();
	}
	assert_int_equal(pxar_enc_entry(enc, &e), 0);
	buf_add(&ar, data, e.payload_size);
	pxar_enc_payload(enc, e.payload_size);
	return pos;
}

static uint64_t add_file(const char *name, const char *data)
{
	return add_entry((struct pxar_entry){ .name = name, .kind = PXAR_KIND_FILE, .mode = S_IFREG | 0644,
		.size = strlen(data), .payload_size = strlen(data), .link_id = 1 }, data);
}

static void add_dir(const char *name)
{
	add_entry((struct pxar_entry){ .name = name, .kind = PXAR_KIND_DIR, .mode = S_IFDIR | 0750, .mtime_s = 77 }, NULL);
}

static void add_link(const char *name, const char *to, uint64_t pos)
{
	add_entry((struct pxar_entry){ .name = name, .kind = PXAR_KIND_HARDLINK, .target = to, .link_pos = pos }, NULL);
}

static void add_symlink(const char *name, const char *to)
{
	add_entry((struct pxar_entry){ .name = name, .kind = PXAR_KIND_SYMLINK, .mode = S_IFLNK | 0777, .target = to,
		.mtime_s = -5, .mtime_ns = 750000000 }, NULL);
}

static void end(void)
{
	assert_int_equal(pxar_enc_dir_end(enc), 0);
}

static void is_file(const char *path, const char *want)
{
	char got[256] = "";
	int fd = openat(target, path, O_RDONLY | O_NOFOLLOW);

	assert_true(fd >= 0);
	assert_true(read(fd, got, sizeof(got) - 1) >= 0);
	assert_string_equal(got, want);
	close(fd);
}

static bool exists(const char *path)
{
	return faccessat(target, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void no_temporary(void)
{
	char cmd[512];

	(void)snprintf(cmd, sizeof(cmd), "[ -z \"$(find %s -name '.pluck-*')\" ]", top);
	assert_int_equal(system(cmd), 0);
}

static void test_metadata(void **state)
{
	static const struct pxar_xattr x[] = { { "user.a", 6, (const uint8_t *)"v\0w", 3, false },
		{ "security.selinux", 16, (const uint8_t *)"l", 1, true }, { "osx.x", 5, (const uint8_t *)"l", 1, true } };
	static const struct pxar_acl_entry acls[] = { { PXAR_ACL_USER, 7, 6 }, { PXAR_ACL_USER, 5, 4 }, { PXAR_ACL_GROUP, 9, 7 },
		{ PXAR_ACL_DEFAULT_USER, 3, 5 } };
	static const struct pxar_segment segs[] = { { 65536, 4 } };
	struct stat st;
	uint64_t pos;
	uint8_t v[256];
	int fd;

	(void)state;
	if (geteuid())
		skip();
	add_entry((struct pxar_entry){ .name = "d", .kind = PXAR_KIND_DIR, .mode = S_IFDIR | 02570, .uid = 12, .gid = 13,
		.mtime_s = -1, .mtime_ns = 5, .has_acl_default = true, .acl_default = { 7, 5, 0, 5 }, .acls = acls + 3, .nr_acls = 1 }, NULL);
	pos = add_entry((struct pxar_entry){ .name = "f", .kind = PXAR_KIND_FILE, .mode = S_IFREG | 04765, .uid = 1000, .gid = 1001,
		.mtime_s = 1700000000, .mtime_ns = 123456789, .xattrs = x, .nr_xattrs = 3, .acls = acls, .nr_acls = 3,
		.has_acl_group_obj = true, .acl_group_obj = 5, .link_id = 4, .size = 1 << 20, .payload_size = 4, .has_segments = true,
		.segments = segs, .nr_segments = 1 }, "data");
	add_link("hl", "d/f", pos);
	add_symlink("s", "/nowhere");
	add_entry((struct pxar_entry){ .name = "p", .kind = PXAR_KIND_FIFO, .mode = S_IFIFO | 0640, .mtime_s = 9 }, NULL);
	end();
	end();
	assert_int_equal(restore(&plain), 0);
	assert_int_equal(rep.meta_failed, 1);	/* osx.x */
	assert_int_equal(fstatat(target, "d", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 02570);
	assert_int_equal(st.st_uid, 12);
	assert_int_equal(st.st_mtim.tv_sec, -1);
	assert_int_equal(st.st_mtim.tv_nsec, 5);
	assert_int_equal(fstatat(target, "d/f", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 04765);
	assert_int_equal(st.st_gid, 1001);
	assert_int_equal(st.st_mtim.tv_nsec, 123456789);
	assert_int_equal(st.st_size, 1 << 20);
	assert_int_equal(st.st_nlink, 2);
	fd = openat(target, "d/hl", O_RDONLY);
	assert_int_equal(lseek(fd, 0, SEEK_DATA), 65536);
	assert_int_equal(fgetxattr(fd, "user.a", v, sizeof(v)), 3);
	assert_memory_equal(v, "v\0w", 3);
	assert_int_equal(fgetxattr(fd, "security.selinux", v, sizeof(v)), 1);
	assert_int_equal(fgetxattr(fd, "system.posix_acl_access", v, sizeof(v)), 4 + 7 * 8);
	close(fd);
	assert_int_equal(fstatat(target, "d/s", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mtim.tv_sec, -5);
	assert_int_equal(fstatat(target, "d/p", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFIFO | 0640);
	no_temporary();
}

static void test_hostile(void **state)
{
	uint64_t f, l;
	struct restore_options o = plain;

	(void)state;
	f = add_file("f", "one");
	l = pxar_enc_pos(enc);
	add_symlink("out", "../canary");
	add_dir("out");			/* must not enter the symlink */
	add_file("file", "bad");
	add_file("new", "bad");
	end();
	add_link("h1", "out", l);	/* hard link to a symlink */
	add_link("h2", "out/file", f);	/* through a symlink */
	add_link("h3", "f", l);		/* position and path differ */
	add_link("h4", "g", f);
	add_link("good", "f", f);
	add_file("f", "two");		/* duplicate */
	add_file("out", "two");
	add_dir("f");
	add_file("in", "x");
	end();
	add_entry((struct pxar_entry){ .name = "dev", .kind = PXAR_KIND_DEVICE, .mode = S_IFCHR | 0666, .dev_major = 1, .dev_minor = 3 }, NULL);
	add_entry((struct pxar_entry){ .name = "sock", .kind = PXAR_KIND_SOCKET, .mode = S_IFSOCK | 0666 }, NULL);
	end();
	assert_int_equal(restore(&plain), 0);
	is_file("f", "one");
	is_file("good", "one");
	assert_int_equal(rep.files, 2);
	assert_int_equal(rep.others, 2);
	assert_int_equal(rep.left_out, 12);
	for (int i = 1; i < 5; i++)
		assert_false(exists((const char[]){ 'h', (char)('0' + i), 0 }));
	assert_false(exists("dev"));
	o.overwrite = RESTORE_OVERWRITE_ALWAYS;
	assert_int_equal(restore(&o), 0);
	is_file("f", "two");
	is_file("out", "two");
	no_temporary();
}

static void test_names(void **state)
{
	static const char *const bad[] = { "..", ".", "a/b", "/etc", "" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		ar.len = 56;
		buf_u64le(&ar, PXAR_FILENAME);
		buf_u64le(&ar, 16 + strlen(bad[i]) + 1);
		buf_add(&ar, bad[i], strlen(bad[i]) + 1);
		assert_int_equal(restore(&plain), -EBADMSG);
	}
	ar.len = 56;
	assert_int_equal(restore(&plain), -ENODATA);
}

static bool told(const char *line)
{
	return strstr(notes, line) != NULL;
}

static void test_errors(void **state)
{
	const struct pxar_error e = { .code = -EIO, .off = 1, .text = "bad\nsector" };
	struct restore_options o = plain;

	(void)state;
	add_file("whole", "abc");
	add_file("broken", "abc");
	assert_int_equal(pxar_enc_error(enc, &e), 0);
	add_dir("d");
	add_file("last", "abc");
	assert_int_equal(pxar_enc_dir_error(enc, &e), 0);
	end();
	end();
	assert_int_equal(restore(&plain), 0);
	assert_int_equal(rep.files, 2);
	assert_int_equal(rep.incomplete, 2);
	assert_true(told("broken: not read whole, left out (bad\\x0asector): EIO") && told("d: directory not read whole (bad\\x0asector): EIO"));
	assert_false(exists("broken"));
	o.keep_partial = true;
	o.overwrite = RESTORE_OVERWRITE_ALWAYS;
	assert_int_equal(restore(&o), 0);
	is_file("broken.partial", "abc");
	ar.len = 56 + 16 + 6 + 56 + 24 + 16 + 1;	/* cut in the data of "whole" */
	(void)unlinkat(target, "whole", 0);
	assert_int_equal(restore(&o), -ENODATA);
	assert_false(exists("whole"));
	assert_true(exists("whole.partial"));
	no_temporary();
}

/* Metadata that could not be read costs nothing else. */
static void test_meta_error(void **state)
{
	const struct pxar_error e = { .code = -EIO, .off = UINT64_MAX, .text = "attributes\033[1m" };

	(void)state;
	add_entry((struct pxar_entry){ .name = "f", .kind = PXAR_KIND_FILE, .mode = S_IFREG | 0644, .size = 3, .payload_size = 3,
				       .meta_error = e }, "abc");
	add_entry((struct pxar_entry){ .name = "d", .kind = PXAR_KIND_DIR, .mode = S_IFDIR | 0755, .meta_error = e }, NULL);
	end();
	add_entry((struct pxar_entry){ .name = "l", .kind = PXAR_KIND_SYMLINK, .mode = S_IFLNK | 0777, .target = "x",
				       .meta_error = e }, NULL);
	end();
	assert_int_equal(restore(&plain), 0);
	is_file("f", "abc");
	assert_int_equal(rep.files + rep.dirs + rep.others, 3);
	assert_int_equal(rep.meta_failed, 3);
	assert_int_equal(rep.incomplete + rep.left_out, 0);
	assert_true(told("f: metadata not read whole (attributes\\x1b[1m): EIO") && told("d: metadata not read whole (") && told("l: metadata"));
}

static void test_filter(void **state)
{
	const struct pxar_error e = { .code = -EIO, .off = 0, .text = "bad" };
	struct restore_options o = plain;
	struct filter *f = filter_new();

	(void)state;
	assert_int_equal(filter_add(f, false, "*.c", 3, NULL), 0);
	assert_int_equal(filter_add(f, false, "/top/doc/", 9, NULL), 0);
	assert_int_equal(filter_add(f, true, "old", 3, NULL), 0);
	o.filter = f;
	add_dir("top");
	add_dir("empty");
	end();
	add_dir("deep");
	add_dir("er");
	add_file("x.h", "h");
	add_file("x.c", "c");
	end();
	end();
	add_dir("old");
	add_file("y.c", "c");
	end();
	add_dir("doc");
	add_file("any", "a");
	add_dir("old");
	end();
	end();
	add_entry((struct pxar_entry){ .name = "unknown", .kind = PXAR_KIND_FILE, .mode = S_IFREG }, NULL);
	assert_int_equal(pxar_enc_error(enc, &e), 0);
	end();
	end();
	assert_int_equal(restore(&o), 0);
	is_file("top/deep/er/x.c", "c");
	is_file("top/doc/any", "a");
	assert_false(exists("top/empty") || exists("top/deep/er/x.h") || exists("top/old") || exists("top/doc/old"));
	assert_int_equal(rep.dirs, 4);
	assert_int_equal(rep.left_out, 1);
	assert_true(told("top/unknown: not readable (bad): EIO"));
	/* Beneath the one thing that was asked for. */
	filter_free(f);
	o.filter = f = filter_new();
	assert_int_equal(filter_add(f, false, "deep/er/x.h", 11, NULL), 0);
	o.container = true;
	assert_int_equal(restore(&o), 0);
	is_file("top/deep/er/x.h", "h");
	assert_int_equal(rep.files, 1);
	filter_free(f);
}

/* A directory that was put off and cannot be made takes all of it along. */
static void test_filter_blocked(void **state)
{
	struct restore_options o = plain;
	struct filter *f = filter_new();

	(void)state;
	assert_int_equal(filter_add(f, false, "*.c", 3, NULL), 0);
	o.filter = f;
	close(openat(target, "top", O_CREAT | O_WRONLY, 0644));
	add_dir("top");
	add_dir("in");
	add_file("x.c", "c");
	end();
	add_file("y.c", "c");
	end();
	add_file("z.c", "c");
	end();
	assert_int_equal(restore(&o), 0);
	assert_int_equal(rep.left_out, 3);
	assert_true(told("top/in/x.c: its directory is left out") && told("top/y.c: its directory"));
	is_file("z.c", "c");
	filter_free(f);
}

static void test_shape(void **state)
{
	static const struct pxar_xattr x[] = { { "user.a", 6, (const uint8_t *)"1", 1, false },
					       { "trusted.b", 9, (const uint8_t *)"2", 1, false } };
	struct restore_options o = plain;
	struct stat st;

	(void)state;
	o.set_uid = o.set_gid = true;
	o.uid = geteuid();
	o.gid = getegid();
	o.xattrs = RESTORE_XATTRS_USER;
	add_entry((struct pxar_entry){ .name = "s", .kind = PXAR_KIND_FILE, .mode = S_IFREG | 06775, .uid = 12345, .gid = 54321,
				       .xattrs = x, .nr_xattrs = 2, .has_acl_group_obj = true, .acl_group_obj = 5 }, NULL);
	end();
	assert_int_equal(restore(&o), 0);
	assert_int_equal(fstatat(target, "s", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);	/* no setgid of another; the list gave the group r-x */
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(rep.left_out, 0);
	assert_true(rep.meta_failed == 0 || told("extended attribute not set: EOPNOTSUPP"));
}

static void test_hash(void **state)
{
	static const struct pxar_segment seg = { 2, 3 };
	struct restore_options o = plain;

	(void)state;
	o.hash = true;
	add_file("abc", "abc");
	add_file("empty", "");
	add_entry((struct pxar_entry){ .name = "holes", .kind = PXAR_KIND_FILE, .mode = S_IFREG | 0644, .size = 8, .payload_size = 3,
				       .has_segments = true, .segments = &seg, .nr_segments = 1 }, "abc");
	end();
	assert_int_equal(restore(&o), 0);
	assert_true(told("made abc 3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n"));
	assert_true(told("made empty 0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"));
	assert_true(told("made holes 8 03d8096549b23e66a29aebfbffe4635755107058a34693ad198ab54d6ef4cd0c\n"));
}

/* Nothing can be made in a directory that is gone. */
static void test_removed(void **state)
{
	char path[128];

	(void)state;
	add_file("f", "abc");
	end();
	assert_int_equal(rmdir(strcat(strcpy(path, top), "/target")), 0);
	assert_int_equal(restore(&plain), -ENOENT);
	assert_true(rep.target_failed);
	assert_int_equal(rep.files + rep.left_out, 0);
	assert_int_equal(mkdirat(AT_FDCWD, strcat(strcpy(path, top), "/target"), 0700), 0);
}

static void test_deep(void **state)
{
	struct stat st;

	(void)state;
	for (int i = 0; i < 10000; i++)
		add_dir("d");
	add_file("bottom", "x");
	for (int i = 0; i < 10000; i++) {
		end();
		if (i == 9900)
			add_file("on the way", "y");
	}
	end();
	assert_int_equal(restore(&plain), 0);
	assert_int_equal(rep.dirs, 10000);
	assert_int_equal(rep.files, 2);
	assert_int_equal(fstatat(target, "d/d/d", &st, 0), 0);
	assert_int_equal(st.st_mtim.tv_sec, 77);
	assert_int_equal(st.st_mode, S_IFDIR | 0750);
}

static void test_too_deep(void **state)
{
	uint8_t entry[56];

	(void)state;
	memcpy(entry, ar.data, sizeof(entry));
	for (int i = 0; i < PXAR_DEPTH_MAX + 10; i++) {
		buf_u64le(&ar, PXAR_FILENAME);
		buf_u64le(&ar, 18);
		buf_add(&ar, "d", 2);
		buf_add(&ar, entry, sizeof(entry));
	}
	assert_int_equal(restore(&plain), -EBADMSG);
}

static void test_abort(void **state)
{
	static volatile sig_atomic_t flag = 1;
	const struct restore_options o = { .abort = &flag };

	(void)state;
	end();
	assert_int_equal(restore(&o), -EINTR);
}

/* As a user: the owner fails and is counted, and neither setuid nor capabilities come without it. */
static int as_user(void)
{
	struct stat st;

	if (setresgid(12345, 12345, 12345) < 0 || setresuid(12345, 12345, 12345) < 0)
		return 1;
	if (restore(&plain) || rep.files != 2 || rep.meta_failed < 3)
		return 2;
	if (fstatat(target, "suid", &st, 0) < 0 || st.st_mode != (S_IFREG | 0755) || st.st_mtim.tv_sec != 55)
		return 3;
	if (fstatat(target, "own", &st, 0) < 0 || st.st_mode != (S_IFREG | 04755))
		return 4;
	return faccessat(target, "null", F_OK, AT_SYMLINK_NOFOLLOW) ? 0 : 5;
}

static void test_user(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	add_entry((struct pxar_entry){ .name = "suid", .kind = PXAR_KIND_FILE, .mode = S_IFREG | 04755, .uid = 1, .gid = 1,
		.mtime_s = 55, .fcaps = (const uint8_t *)"\1\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", .fcaps_len = 20 }, NULL);
	add_entry((struct pxar_entry){ .name = "own", .kind = PXAR_KIND_FILE, .mode = S_IFREG | 04755, .uid = 12345, .gid = 12345 }, NULL);
	add_entry((struct pxar_entry){ .name = "null", .kind = PXAR_KIND_DEVICE, .mode = S_IFCHR | 0666, .dev_major = 1, .dev_minor = 3 },
		NULL);
	end();
	if (geteuid())
		skip();
	pid = fork();
	if (!pid)
		_exit(as_user());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_metadata), T(test_hostile), T(test_names), T(test_errors), T(test_meta_error),
		T(test_filter), T(test_filter_blocked), T(test_shape), T(test_hash), T(test_removed), T(test_deep), T(test_too_deep), T(test_abort),
		T(test_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
