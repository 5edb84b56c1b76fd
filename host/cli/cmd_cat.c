/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cat: the contents of files to standard output. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "host/cli/archive.h"
#include "host/cli/stored.h"
#include "host/cli/target.h"

#define PATHS_MAX 64
#define BLOCK ((size_t)64 << 10)

/* Where the bytes of one file come from. */
struct reader {
	struct archive_stream *archive;
	struct client *client;
};

static int out_failed;	/* writing to standard output */

static int put(const void *p, size_t n, struct err *err)
{
	const int r = io_write_full(STDOUT_FILENO, p, n);

	out_failed = r;
	return r < 0 ? err_set(err, r, "write to standard output") : 0;
}

/* Return: 1 if the name is that of a small file, which is written then; 0; negative errno. */
static int cat_blob(struct target *t, const char *name, struct err *err)
{
	CLEANUP_BUF struct buf stored = BUF_INIT, text = { .limit = STORE_BLOB_MAX };
	int r;

	if (!t->snapshot || strchr(name, '/') || stored_find(t->snapshot, name, &stored, NULL) < 0 ||
	    !stored_has_suffix(buf_cstr(&stored), ".blob"))
		return 0;
	r = snapshot_read_blob(t->snapshot, buf_cstr(&stored), &text, err);
	if (r == 0 && text.len)
		r = put(text.data, text.len, err);
	return r < 0 ? r : 1;
}

static int open_path(struct target *t, const struct target_path *p, struct reader *ret, struct err *err)
{
	static const struct client_extract how = { .format = "plain" };
	const char *inner;
	size_t len;
	int r;

	if (p->root)
		return err_text(err, -EINVAL, "'/' is no file");
	if (p->archive) {
		inner = target_inner(p, &len);
		return archive_stream_open(t->snapshot, p->archive, inner, len, ARCHIVE_PLAIN, NULL, NULL, &ret->archive, err);
	}
	r = target_connect(t, &ret->client, NULL, err);
	return r < 0 ? r : client_extract_begin(ret->client, p->bytes.data, p->bytes.len, &how, err);
}

static int cat_path(struct target *t, const char *text, bool base64, struct err *err)
{
	struct target_path p = { 0 };
	struct reader from = { 0 };
	static char block[BLOCK];
	ssize_t n = 0;
	int r = target_path(t, text, strlen(text), base64, &p, err);

	if (r < 0)
		return r;
	r = open_path(t, &p, &from, err);
	if (r < 0 && from.client)
		r = target_why(t, r, err);
	if (r == 0 && from.client)
		(void)target_tell_note(from.client, &p, NULL);
	while (r == 0) {
		n = from.archive ? archive_stream_read(from.archive, block, BLOCK, err) :
				   client_read(from.client, block, BLOCK, err);
		if (n <= 0)
			break;
		r = put(block, (size_t)n, err);
	}
	if (r == 0 && n < 0 && from.client)
		n = target_why(t, (int)n, err);
	r = r < 0 ? r : (int)n;
	if (r < 0 && from.client && exit_from_errno(r) == EXIT_DAMAGED)
		(void)target_report_damage(t, NULL);
	archive_stream_close(from.archive);
	client_free(from.client);
	target_path_free(&p);
	return r;
}

static bool needs_vm(struct target *t, const char *text, bool base64)
{
	struct target_path p = { 0 };
	const bool vm = target_path(t, text, strlen(text), base64, &p, NULL) == 0 && !p.root && !p.archive;

	target_path_free(&p);
	return vm;
}

static int cat_all(const struct args *a, struct target *t, size_t pos, struct err *err)
{
	const bool base64 = args_flag(a, "base64");
	bool vm = false;
	int r;

	for (size_t i = pos; i < a->nr_pos; i++)
		vm |= needs_vm(t, a->pos[i], base64);
	r = target_settle(t, vm, err);
	for (; r == 0 && pos < a->nr_pos; pos++) {
		r = base64 ? 0 : cat_blob(t, a->pos[pos], err);
		r = r == 0 ? cat_path(t, a->pos[pos], base64, err) : r > 0 ? 0 : r;
	}
	return r;
}

static int run(const struct args *a)
{
	struct target t = { 0 };
	struct err err = ERR_INIT;
	size_t pos = 0;
	int r = target_parse(a, &pos, &t, &err);

	if (r == 0 && pos >= a->nr_pos)
		r = err_text(&err, -EINVAL, "PATH is missing");
	if (r == 0)
		r = target_open(&t, &err);
	if (r == 0)
		r = cat_all(a, &t, pos, &err);
	if (r < 0 && out_failed != -EPIPE)
		r = cli_fail(&err, r);
	target_free(&t);
	if (out_failed == -EPIPE)
		return EXIT_PARTIAL;
	return out_failed ? EXIT_TARGET : r;
}

const struct command cmd_cat = {
	.name = "cat",
	.usage = "SNAPSHOT PATH... | --disk FILE PATH...",
	.help = "print files",
	.more = "PATH is that of 'extract', or the name of a small file of the snapshot: qemu-server.conf, client.log,\n"
		"index.json.",
	.opts = { target_opts, target_base64_opts, target_vm_opts },
	.max_pos = PATHS_MAX,
	.run = run,
};
