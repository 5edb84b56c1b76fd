/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tar made from an archive, read back with GNU tar, bsdtar and Python. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/buf.h"
#include "common/pxar/encode.h"
#include "common/pxar/format.h"
#include "host/restore/restore.h"
#include "tests/lib/shell.h"

static char dir[] = "/tmp/pluck-tar-XXXXXX";
static struct buf ar;
static struct pxar_enc *enc;

static uint64_t add(struct pxar_entry e, const char *data)
{
	uint64_t pos = pxar_enc_pos(enc);

	e.name_len = strlen(e.name);
	e.target_len = e.target ? strlen(e.target) : 0;
	if (data)
		e.payload_size = strlen(data);
	if (!e.has_segments)
		e.size = e.payload_size;
	assert_int_equal(pxar_enc_entry(enc, &e), 0);
	buf_add(&ar, data, e.payload_size);
	pxar_enc_payload(enc, e.payload_size);
	return pos;
}

static ssize_t read_all(void *arg, void *p, size_t n, struct err *err)
{
	size_t *at = arg;

	(void)err;
	if (n > ar.len - *at)
		n = ar.len - *at;
	memcpy(p, ar.data + *at, n);
	*at += n;
	return (ssize_t)n;
}

static int write_tar(struct restore_report *rep, bool cut)
{
	const struct restore_options o = { .skip_root = true };
	struct restore_target *t = NULL;
	struct err err = ERR_INIT;
	char path[64];
	size_t at = 0;
	int fd, r;

	(void)snprintf(path, sizeof(path), "%s/a.tar", dir);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	assert_int_equal(restore_tar_new(fd, &t, &err), 0);
	if (cut)
		ar.len -= 30;
	r = restore_stream(t, &o, PXAR_DEC_EXT, read_all, &at, NULL, rep, &err);
	if (r == 0)
		r = restore_finish(t, &err);
	else
		assert_true(restore_finish(t, NULL) < 0);
	restore_free(t);
	close(fd);
	return r;
}

static void build(void)
{
	static const struct pxar_xattr x[] = { { "user.a", 6, (const uint8_t *)"v\0w", 3, false },
		{ "user.b=%3D", 10, (const uint8_t *)"x", 1, false } };
	static const struct pxar_acl_entry acls[] = { { PXAR_ACL_USER, 1234, 6 }, { PXAR_ACL_GROUP, 9, 7 } };
	static const struct pxar_segment segs[] = { { 8192, 4 }, { 65536, 3 } };
	static char deep[151];
	uint64_t pos;

	enc = pxar_enc_new(&ar, PXAR_ENC_EXT);
	assert_int_equal(pxar_enc_entry(enc, &(struct pxar_entry){ .name = "", .kind = PXAR_KIND_DIR, .mode = S_IFDIR | 0755 }), 0);
	add((struct pxar_entry){ .name = "d", .kind = PXAR_KIND_DIR, .mode = S_IFDIR | 02750, .mtime_s = -1, .mtime_ns = 750000000 }, NULL);
	pos = add((struct pxar_entry){ .name = "f", .kind = PXAR_KIND_FILE, .mode = S_IFREG | 0640, .uid = 4000000000u, .gid = 7,
		.mtime_s = 1700000000, .mtime_ns = 123456789, .xattrs = x, .nr_xattrs = 2, .acls = acls, .nr_acls = 2,
		.has_acl_group_obj = true, .acl_group_obj = 4, .link_id = 1 }, "hello\n");
	add((struct pxar_entry){ .name = "hl", .kind = PXAR_KIND_HARDLINK, .target = "d/f", .link_pos = pos }, NULL);
	add((struct pxar_entry){ .name = "sp", .kind = PXAR_KIND_FILE, .mode = S_IFREG | 0600, .mtime_s = -1000, .size = 1 << 20,
		.has_segments = true, .segments = segs, .nr_segments = 2 }, "dataend");
	memset(deep, 'n', 150);
	add((struct pxar_entry){ .name = deep, .kind = PXAR_KIND_SYMLINK, .mode = S_IFLNK | 0777, .target = deep }, NULL);
	add((struct pxar_entry){ .name = "b\xff\n", .kind = PXAR_KIND_FILE, .mode = S_IFREG | 0600 }, "");
	add((struct pxar_entry){ .name = "p", .kind = PXAR_KIND_FIFO, .mode = S_IFIFO | 0600 }, NULL);
	add((struct pxar_entry){ .name = "c", .kind = PXAR_KIND_DEVICE, .mode = S_IFCHR | 0600, .dev_major = 1, .dev_minor = 300 }, NULL);
	add((struct pxar_entry){ .name = "s", .kind = PXAR_KIND_SOCKET, .mode = S_IFSOCK | 0600 }, NULL);
	assert_int_equal(pxar_enc_dir_end(enc), 0);
	assert_int_equal(pxar_enc_dir_end(enc), 0);
}

static const char python[] =
	"import tarfile,sys\n"
	"t=tarfile.open(sys.argv[1]); m={x.name:x for x in t.getmembers()}\n"
	"assert len(m)==8,m\n"
	"assert m['d'].pax_headers['mtime']=='-0.250000000'\n"
	"f=m['d/f']; assert f.uid==4000000000 and f.gid==7 and f.mode==0o640 and t.extractfile(f).read()==b'hello\\n'\n"
	"assert f.pax_headers['mtime']=='1700000000.123456789'\n"
	"assert f.pax_headers['SCHILY.xattr.user.a']=='v\\0w' and f.pax_headers['SCHILY.xattr.user.b%3D%253D']=='x'\n"
	"assert f.pax_headers['SCHILY.acl.access']=='user::rw-,user:1234:rw-,group::r--,group:9:rwx,mask::r--,other::---'\n"
	"assert m['d/hl'].islnk() and m['d/hl'].linkname=='d/f'\n"
	"s=m['d/sp']; b=t.extractfile(s).read(); assert s.size==1<<20 and b[8192:8196]==b'data' and b[65536:65539]==b'end'\n"
	"assert len(b)==1<<20 and b.count(0)==(1<<20)-7 and s.mtime==-1000\n"
	"n='d/'+'n'*150; assert m[n].issym() and m[n].linkname=='n'*150\n"
	"assert m['d/b\\udcff\\n'].size==0 and m['d/p'].isfifo() and m['d/c'].devminor==300\n";

static void test_read_back(void **state)
{
	struct restore_report rep = { 0 };
	char script[64];
	FILE *f;

	(void)state;
	build();
	assert_int_equal(write_tar(&rep, false), 0);
	assert_int_equal(rep.files, 4);
	assert_int_equal(rep.left_out, 1);
	(void)snprintf(script, sizeof(script), "%s/check.py", dir);
	f = fopen(script, "w");
	assert_non_null(f);
	assert_true(fputs(python, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(shell("python3 %s %s/a.tar", script, dir), 0);
	assert_int_equal(shell("cd %s && mkdir x && tar --xattrs --acls --xattrs-include='*' --exclude=d/c --numeric-owner -xpf a.tar -C x", dir), 0);
	assert_int_equal(shell("cd %s && [ \"$(stat -c %%.Y x/d/f)\" = 1700000000.123456789 ] && [ \"$(stat -c %%s:%%h x/d/sp x/d/f | xargs)\" = "
			     "'1048576:1 6:2' ] && [ \"$(stat -c %%.Y x/d)\" = -0.250000000 ] && [ \"$(stat -c %%b x/d/sp)\" -lt 100 ]", dir), 0);
	if (geteuid() == 0)
		assert_int_equal(shell("cd %s && getfacl -nc x/d/f | grep -qx 'user:1234:rw-.*' && [ $(stat -c %%u x/d/f) = 4000000000 ] && "
				     "[ \"$(getfattr --only-values -n user.b=%%3D x/d/f)\" = x ]", dir), 0);
	if (shell("command -v bsdtar >/dev/null") == 0) {
		assert_int_equal(shell("cd %s && mkdir y && bsdtar -xpf a.tar --exclude d/c -C y && cmp x/d/sp y/d/sp && [ \"$(stat -c %%.Y y/d/f)\" = "
				     "1700000000.123456789 ] && [ \"$(readlink y/d/nnn*)\" = \"$(readlink x/d/nnn*)\" ]", dir), 0);
	} else {
		print_message("skipped: no bsdtar\n");
	}
	memset(&rep, 0, sizeof(rep));
	assert_int_equal(write_tar(&rep, true), -ENODATA);
	assert_int_equal(shell("tail -c 1024 %s/a.tar | tr -d '\\0' | grep -q .", dir), 0);
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	pxar_enc_free(enc);
	buf_free(&ar);
	return shell("rm -rf %s", dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_read_back) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
