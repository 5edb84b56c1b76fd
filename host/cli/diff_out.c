/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/diff_out.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "host/cli/archive.h"
#include "host/cli/size.h"

static const char *const ops[] = { "added", "removed", "changed", "unknown" };
static const char letters[] = { 'A', 'D', 'M', '?' };
static const char *const whats[DIFF_BITS] = {
	"type", "link", "mode", "owner", "mtime", "size", "contents", "target", "rdev", "flags", "xattrs", "acl",
	"capabilities", "project",
};

static bool is_json(const struct diff_out *o)
{
	return o->format == CLI_JSON || o->format == CLI_JSON_PRETTY;
}

static void put_sides(struct diff_out *o)
{
	static const char *const name[] = { "old", "new" };

	jsonw_key_string(&o->w, "kind", o->kind);
	for (int s = 0; s < 2; s++) {
		jsonw_key(&o->w, name[s]);
		jsonw_object_begin(&o->w);
		jsonw_key_string(&o->w, "snapshot", o->side[s].snapshot);
		jsonw_key_string(&o->w, "filename", o->side[s].file);
		jsonw_key_u64(&o->w, "size", o->side[s].size);
		jsonw_object_end(&o->w);
	}
}

void diff_out_begin(struct diff_out *o)
{
	o->w = (struct jsonw){ .out = &o->out, .pretty = o->format == CLI_JSON_PRETTY };
	if (!is_json(o))
		return;
	jsonw_object_begin(&o->w);
	put_sides(o);
	jsonw_key(&o->w, "differences");
	jsonw_array_begin(&o->w);
}

static void put_member(struct jsonw *w, const char *key, const struct pxar_entry *e, const struct pxar_entry *stat)
{
	char type[2] = { 0 };

	if (!e)
		return;
	type[0] = archive_type(e);
	jsonw_key(w, key);
	jsonw_object_begin(w);
	jsonw_key_string(w, "type", type);
	if (e->target)
		jsonw_key_b64(w, "target", e->target, e->target_len);
	if (stat)
		archive_write_stat(w, stat);
	jsonw_object_end(w);
}

static void put_entry(struct jsonw *w, const struct diff_entry *e)
{
	jsonw_object_begin(w);
	jsonw_key_string(w, "op", ops[e->op]);
	jsonw_key_b64(w, "path", e->path, e->path_len);
	jsonw_key_bytes(w, "text", e->path, e->path_len);
	if (e->op == DIFF_CHANGED) {
		jsonw_key(w, "changes");
		jsonw_array_begin(w);
		for (size_t i = 0; i < DIFF_BITS; i++)
			if (e->what & 1u << i)
				jsonw_string(w, whats[i], strlen(whats[i]));
		jsonw_array_end(w);
	}
	put_member(w, "old", e->from, e->from_stat);
	put_member(w, "new", e->to, e->to_stat);
	if (e->code) {
		jsonw_key(w, "error");
		jsonw_object_begin(w);
		jsonw_key_string(w, "name", err_name(e->code));
		jsonw_key_string(w, "text", e->why);
		jsonw_object_end(w);
	}
	jsonw_object_end(w);
}

/* What a line has room for. */
#define WITH_VALUES (DIFF_TYPE | DIFF_LINK | DIFF_MODE | DIFF_OWNER | DIFF_MTIME | DIFF_SIZE | DIFF_TARGET | DIFF_RDEV)

static void text_of(struct buf *b, const struct pxar_entry *e, const struct pxar_entry *stat, unsigned int what)
{
	switch (what) {
	case DIFF_TYPE:
		buf_u8(b, (uint8_t)archive_type(stat));
		return;
	case DIFF_LINK:
		if (e->kind == PXAR_KIND_HARDLINK)
			cli_escape(b, e->target, e->target_len);
		else
			buf_str(b, "none");
		return;
	case DIFF_MODE:
		buf_fmt(b, "%04o", (unsigned int)stat->mode & 07777);
		return;
	case DIFF_OWNER:
		buf_fmt(b, "%u:%u", stat->uid, stat->gid);
		return;
	case DIFF_MTIME:
		cli_time(b, stat->mtime_s);
		buf_fmt(b, ".%09u", stat->mtime_ns);
		return;
	case DIFF_SIZE:
		buf_fmt(b, "%" PRIu64, stat->size);
		return;
	case DIFF_TARGET:
		cli_escape(b, stat->target, stat->target_len);
		return;
	case DIFF_RDEV:
		buf_fmt(b, "%u:%u", stat->dev_major, stat->dev_minor);
		return;
	}
}

/* "mode 0644 -> 0600, contents" */
static void put_changes(struct buf *b, const struct diff_entry *e)
{
	const char *before = ": ";

	for (size_t i = 0; i < DIFF_BITS; i++) {
		const unsigned int bit = 1u << i;

		if (!(e->what & bit))
			continue;
		buf_fmt(b, "%s%s", before, whats[i]);
		before = ", ";
		if (!(bit & WITH_VALUES))
			continue;
		buf_u8(b, ' ');
		text_of(b, e->from, e->from_stat, bit);
		buf_str(b, " -> ");
		text_of(b, e->to, e->to_stat, bit);
	}
}

static void put_line(struct buf *b, const struct diff_entry *e)
{
	const struct pxar_entry *known = e->to ? e->to : e->from;

	buf_fmt(b, "%c %c ", letters[e->op], known ? archive_type(known) : '?');
	if (e->path_len)
		cli_escape(b, e->path, e->path_len);
	else
		buf_u8(b, '.');
	if (e->op == DIFF_CHANGED)
		put_changes(b, e);
	if (e->code) {
		buf_str(b, ": ");
		cli_escape(b, e->why, strlen(e->why));
	}
	buf_u8(b, '\n');
}

static bool is_damage(int code)
{
	return exit_from_errno(code) == EXIT_DAMAGED;
}

int diff_out_entry(struct diff_out *o, const struct diff_entry *e)
{
	if (e->code) {
		o->damaged |= is_damage(e->code);
		o->untold = true;
	}
	if (o->format == CLI_TEXT) {
		put_line(&o->out, e);
		return cli_out_buf(&o->out);
	}
	if (o->format == CLI_JSONL)
		o->w = JSONW(&o->out);
	put_entry(&o->w, e);
	if (o->format == CLI_JSONL)
		buf_u8(&o->out, '\n');
	return cli_out_buf(&o->out);
}

int diff_out_range(struct diff_out *o, const struct chunks_diff_range *r)
{
	static const enum diff_op op[] = { [CHUNKS_DIFF_CHANGED] = DIFF_CHANGED, [CHUNKS_DIFF_ADDED] = DIFF_ADDED,
					   [CHUNKS_DIFF_REMOVED] = DIFF_REMOVED };

	if (o->format == CLI_TEXT) {
		buf_fmt(&o->out, "%c %" PRIu64 " %" PRIu64 "\n", letters[op[r->op]], r->off, r->len);
		return cli_out_buf(&o->out);
	}
	if (o->format == CLI_JSONL)
		o->w = JSONW(&o->out);
	jsonw_object_begin(&o->w);
	jsonw_key_string(&o->w, "op", ops[op[r->op]]);
	jsonw_key_u64(&o->w, "offset", r->off);
	jsonw_key_u64(&o->w, "length", r->len);
	jsonw_object_end(&o->w);
	if (o->format == CLI_JSONL)
		buf_u8(&o->out, '\n');
	return cli_out_buf(&o->out);
}

static void put_size(struct buf *b, const char *before, uint64_t bytes, const char *behind)
{
	buf_str(b, before);
	cli_size(b, bytes);
	buf_str(b, behind);
}

static void archive_text(struct buf *b, const struct diff_totals *t)
{
	buf_fmt(b, "%" PRIu64 " compared, %" PRIu64 " changed, %" PRIu64 " added, %" PRIu64 " removed", t->compared,
		t->changed, t->added, t->removed);
	if (t->unknown)
		buf_fmt(b, ", %" PRIu64 " not compared in full", t->unknown);
	put_size(b, "; contents: ", t->bytes_read, " read, ");
	put_size(b, "", t->bytes_proved, " compared by digests");
	if (t->not_read)
		buf_fmt(b, ", %" PRIu64 " files left to their metadata", t->not_read);
}

static void image_text(struct buf *b, const struct chunks_diff_totals *t)
{
	put_size(b, "", t->same, " are the same, ");
	put_size(b, "", t->changed, " changed (");
	put_size(b, "", t->zeroed, " to zeros), ");
	put_size(b, "", t->added, " added, ");
	put_size(b, "", t->removed, " removed");
	buf_fmt(b, "; %zu chunks", t->chunks);
}

static void archive_json(struct jsonw *w, const struct diff_totals *t)
{
	jsonw_key_u64(w, "compared", t->compared);
	jsonw_key_u64(w, "changed", t->changed);
	jsonw_key_u64(w, "added", t->added);
	jsonw_key_u64(w, "removed", t->removed);
	jsonw_key_u64(w, "unknown", t->unknown);
	jsonw_key_u64(w, "bytes-read", t->bytes_read);
	jsonw_key_u64(w, "bytes-by-digest", t->bytes_proved);
	jsonw_key_u64(w, "contents-not-read", t->not_read);
}

static void image_json(struct jsonw *w, const struct chunks_diff_totals *t)
{
	jsonw_key_u64(w, "same", t->same);
	jsonw_key_u64(w, "changed", t->changed);
	jsonw_key_u64(w, "zeroed", t->zeroed);
	jsonw_key_u64(w, "added", t->added);
	jsonw_key_u64(w, "removed", t->removed);
	jsonw_key_u64(w, "chunks", t->chunks);
}

void diff_out_end(struct diff_out *o, const struct diff_totals *t, const struct chunks_diff_totals *i)
{
	if (o->format == CLI_TEXT) {
		CLEANUP_BUF struct buf b = BUF_INIT;

		if (t)
			archive_text(&b, t);
		else
			image_text(&b, i);
		if (!o->quiet && buf_cstr(&b))
			(void)fprintf(stderr, "%s\n", buf_cstr(&b));
		return;
	}
	if (is_json(o)) {
		jsonw_array_end(&o->w);
	} else {
		o->w = JSONW(&o->out);
		jsonw_object_begin(&o->w);
		put_sides(o);
	}
	jsonw_key(&o->w, "totals");
	jsonw_object_begin(&o->w);
	if (t)
		archive_json(&o->w, t);
	else
		image_json(&o->w, i);
	jsonw_object_end(&o->w);
	jsonw_object_end(&o->w);
	buf_u8(&o->out, '\n');
	(void)cli_out_buf(&o->out);
}
