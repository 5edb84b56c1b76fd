/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "host/cli/size.h"
#include "host/cli/verify.h"
#include "host/source/store/digest.h"

#define OUT_BYTES ((size_t)64 << 10)	/* written at once */

static const char *const states[] = { "ok", "sealed", "damaged", "skipped", "refused" };

void verify_out_begin(struct verify_out *o)
{
	o->w = (struct jsonw){ .out = &o->out, .pretty = o->format == CLI_JSON_PRETTY };
	if (o->format != CLI_JSON && o->format != CLI_JSON_PRETTY)
		return;
	jsonw_object_begin(&o->w);
	jsonw_key(&o->w, "snapshots");
	jsonw_array_begin(&o->w);
}

void verify_out_snapshot(struct verify_out *o, const char *ns, const char *name, const char *signature)
{
	o->damaged = o->sealed = false;
	spool_free(&o->files);
	if (o->format == CLI_TEXT)
		return;
	if (o->format == CLI_JSONL)
		o->w = JSONW(&o->out);
	jsonw_object_begin(&o->w);
	jsonw_key_string(&o->w, "ns", ns);
	jsonw_key_string(&o->w, "snapshot", name);
	jsonw_key_string(&o->w, "signature", signature);
	jsonw_key(&o->w, "files");
	jsonw_array_begin(&o->w);
}

/* Text waits behind the line of its snapshot. */
static int put_text(struct verify_out *o, struct buf *text)
{
	const int r = buf_ok(text) < 0 ? buf_ok(text) : spool_add(&o->files, text->data, text->len);

	buf_reset(text);
	return r;
}

/* JSON goes out as it comes. */
static int put_json(struct verify_out *o)
{
	return o->out.len < OUT_BYTES ? buf_ok(&o->out) : cli_out_buf(&o->out);
}

static int file_text(struct verify_out *o, const struct check_file *f)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r;

	if (f->error)
		buf_fmt(&b, "  %s: %s\n", f->name, f->error);
	r = put_text(o, &b);
	for (size_t i = 0; i < f->nr_ranges && r == 0; i++) {
		const struct check_range *x = &f->range[i];

		buf_fmt(&b, "  %s: %" PRIu64 " bytes at %" PRIu64 ": %s\n", f->name, x->len, x->off, x->why);
		r = put_text(o, &b);
	}
	return r;
}

static int file_json(struct verify_out *o, const struct check_file *f, enum verify_state state)
{
	struct jsonw *w = &o->w;
	char hex[DIGEST_HEX + 1];
	int r = 0;

	jsonw_object_begin(w);
	jsonw_key_string(w, "filename", f->name);
	jsonw_key_string(w, "state", states[state]);
	jsonw_key_u64(w, "size", f->size_bytes);
	jsonw_key_u64(w, "chunks", f->nr_chunks);
	if (f->error)
		jsonw_key_string(w, "error", f->error);
	jsonw_key(w, "ranges");
	jsonw_array_begin(w);
	for (size_t i = 0; i < f->nr_ranges && r == 0; i++) {
		digest_to_hex(f->range[i].digest, hex);
		jsonw_object_begin(w);
		jsonw_key_u64(w, "offset", f->range[i].off);
		jsonw_key_u64(w, "length", f->range[i].len);
		jsonw_key_string(w, "chunk", hex);
		jsonw_key_string(w, "error", f->range[i].why);
		jsonw_object_end(w);
		r = put_json(o);
	}
	jsonw_array_end(w);
	jsonw_key(w, "paths");
	jsonw_array_begin(w);
	return r;
}

int verify_out_file(struct verify_out *o, const struct check_file *f)
{
	const bool bad = f->error || f->nr_ranges;

	o->damaged |= bad;
	o->sealed |= f->sealed;
	if (o->format == CLI_TEXT)
		return file_text(o, f);
	return file_json(o, f, bad ? VERIFY_DAMAGED : f->sealed ? VERIFY_SEALED : VERIFY_OK);
}

int verify_out_path(struct verify_out *o, const char *path, size_t len, const char *why)
{
	CLEANUP_BUF struct buf text = BUF_INIT;

	if (o->format == CLI_TEXT) {
		buf_str(&text, "    '");
		cli_escape(&text, path, len);
		buf_str(&text, "': ");
		cli_escape(&text, why, strlen(why));
		buf_u8(&text, '\n');
		return put_text(o, &text);
	}
	jsonw_object_begin(&o->w);
	jsonw_key_b64(&o->w, "path", path, len);
	jsonw_key_bytes(&o->w, "text", path, len);
	jsonw_key_string(&o->w, "error", why);
	jsonw_object_end(&o->w);
	return put_json(o);
}

void verify_out_file_end(struct verify_out *o)
{
	if (o->format == CLI_TEXT)
		return;
	jsonw_array_end(&o->w);
	jsonw_object_end(&o->w);
}

/* The text of the snapshot's problems. */
static int put_files(struct verify_out *o)
{
	int r = cli_out_buf(&o->out);

	for (uint64_t at = 0; at < o->files.len && r == 0; at += OUT_BYTES) {
		const uint64_t left = o->files.len - at;
		const size_t n = left < OUT_BYTES ? (size_t)left : OUT_BYTES;
		uint8_t *p = buf_reserve(&o->out, n);

		r = p ? spool_read(&o->files, at, p, n) : -ENOMEM;
		o->out.len += r == 0 ? n : 0;
		if (r == 0)
			r = cli_out_buf(&o->out);
	}
	return r;
}

int verify_out_snapshot_end(struct verify_out *o, const char *ns, const char *name, enum verify_state state,
			    const char *why)
{
	if (state == VERIFY_OK || state == VERIFY_SEALED)
		state = o->damaged ? VERIFY_DAMAGED : o->sealed ? VERIFY_SEALED : state;
	o->nr[state]++;
	if (o->format != CLI_TEXT) {
		jsonw_array_end(&o->w);
		jsonw_key_string(&o->w, "state", states[state]);
		if (why)
			jsonw_key_string(&o->w, "error", why);
		jsonw_object_end(&o->w);
		if (o->format == CLI_JSONL)
			buf_u8(&o->out, '\n');
		return cli_out_buf(&o->out);
	}
	if (o->quiet && state == VERIFY_OK)
		return 0;
	buf_fmt(&o->out, "%s%s%s: %s", ns, *ns ? ": " : "", name, states[state]);
	if (why)
		buf_fmt(&o->out, ": %s", why);
	else if (state == VERIFY_SEALED)
		buf_str(&o->out, ": encrypted, and there is no key: checksums alone were checked");
	buf_u8(&o->out, '\n');
	return put_files(o);
}

void verify_out_end(struct verify_out *o, const struct check_stats *s)
{
	const uint64_t *nr = o->nr;

	if (o->format == CLI_TEXT) {
		if (o->quiet)
			return;
		buf_fmt(&o->out, "%" PRIu64 " ok, %" PRIu64 " damaged, %" PRIu64 " sealed, %" PRIu64 " skipped; %" PRIu64 " chunks, ",
			nr[VERIFY_OK], nr[VERIFY_DAMAGED] + nr[VERIFY_REFUSED], nr[VERIFY_SEALED], nr[VERIFY_SKIPPED], s->chunks);
		cli_size(&o->out, s->bytes);
		buf_fmt(&o->out, ", %" PRIu64 " bad\n", s->bad);
		(void)cli_out_buf(&o->out);
		return;
	}
	if (o->format == CLI_JSONL) {
		o->w = JSONW(&o->out);
		jsonw_object_begin(&o->w);
	} else {
		jsonw_array_end(&o->w);
	}
	jsonw_key(&o->w, "chunks");
	jsonw_object_begin(&o->w);
	jsonw_key_u64(&o->w, "read", s->chunks);
	jsonw_key_u64(&o->w, "bytes", s->bytes);
	jsonw_key_u64(&o->w, "bad", s->bad);
	jsonw_object_end(&o->w);
	jsonw_object_end(&o->w);
	buf_u8(&o->out, '\n');
	(void)cli_out_buf(&o->out);
}

void verify_out_free(struct verify_out *o)
{
	buf_free(&o->out);
	spool_free(&o->files);
}
