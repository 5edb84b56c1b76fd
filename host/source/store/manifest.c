/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/source/store/manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "host/source/store/blob.h"
#include "host/source/store/digest.h"
#include "host/source/store/key.h"

CLEANUP_DEFINE(struct manifest *, manifest_free)

void manifest_free(struct manifest *m)
{
	if (!m)
		return;
	json_decref(m->root);
	free(m->files);
	free(m);
}

const struct store_file *manifest_find(const struct manifest *m, const char *stored_name)
{
	for (size_t i = 0; i < m->nr_files; i++)
		if (!strcmp(m->files[i].name, stored_name))
			return &m->files[i];
	return NULL;
}

static int parse_identity(struct manifest *m, struct err *err)
{
	const char *type = json_string_value(json_object_get(m->root, "backup-type"));
	const char *id = json_string_value(json_object_get(m->root, "backup-id"));
	json_t *time = json_object_get(m->root, "backup-time");

	if (!type || names_check_type(type) < 0)
		return err_text(err, -EBADMSG, "manifest: bad backup-type");
	if (!id || names_check_id(id, strlen(id)) < 0)
		return err_text(err, -EBADMSG, "manifest: bad backup-id");
	if (!json_is_integer(time))
		return err_text(err, -EBADMSG, "manifest: bad backup-time");
	memcpy(m->name.type, type, strlen(type) + 1);
	memcpy(m->name.id, id, strlen(id) + 1);
	m->name.time = json_integer_value(time);
	return 0;
}

static const char *parse_mode(json_t *v)
{
	static const char *const modes[] = { "none", "encrypt", "sign-only" };
	const char *s = json_string_value(v);

	if (!v)
		return modes[0];
	for (size_t i = 0; s && i < 3; i++)
		if (!strcmp(s, modes[i]))
			return modes[i];
	return NULL;
}

static int parse_file(json_t *o, struct store_file *f, struct err *err)
{
	const char *name = json_string_value(json_object_get(o, "filename"));
	const char *csum = json_string_value(json_object_get(o, "csum"));
	json_t *size = json_object_get(o, "size");

	if (!name || names_file_kind(name, strlen(name)) < 0)
		return err_text(err, -EBADMSG, "manifest: bad file name");
	f->name = name;
	f->crypt_mode = parse_mode(json_object_get(o, "crypt-mode"));
	if (!f->crypt_mode)
		return err_text(err, -EBADMSG, "manifest: bad crypt-mode of '%s'", name);
	if (!json_is_integer(size) || json_integer_value(size) < 0)
		return err_text(err, -EBADMSG, "manifest: bad size of '%s'", name);
	f->size = (uint64_t)json_integer_value(size);
	f->has_size = true;
	f->has_csum = csum && *csum;	/* a third-party client leaves it empty */
	if (!csum || (*csum && digest_from_hex(csum, strlen(csum), f->csum) < 0))
		return err_text(err, -EBADMSG, "manifest: bad csum of '%s'", name);
	return 0;
}

static int parse_files(struct manifest *m, struct err *err)
{
	json_t *files = json_object_get(m->root, "files");
	size_t n = json_array_size(files);

	if (!json_is_array(files) || n > MANIFEST_FILES_MAX)
		return err_text(err, -EBADMSG, "manifest: bad list of files");
	m->files = calloc(n + 1, sizeof(*m->files));
	if (!m->files)
		return err_set(err, -ENOMEM, "manifest");
	for (size_t i = 0; i < n; i++) {
		struct store_file f = { 0 };
		int r = parse_file(json_array_get(files, i), &f, err);

		if (r < 0)
			return r;
		if (manifest_find(m, f.name))
			return err_text(err, -EBADMSG, "manifest: '%s' comes twice", f.name);
		m->files[m->nr_files++] = f;
	}
	return 0;
}

static int parse_signature(struct manifest *m, struct err *err)
{
	json_t *un = json_object_get(m->root, "unprotected"), *sig = json_object_get(m->root, "signature"), *fp, *verify;

	if (sig && !json_is_null(sig)) {
		const char *s = json_string_value(sig);

		if (!s || digest_from_hex(s, strlen(s), m->signature) < 0)
			return err_text(err, -EBADMSG, "manifest: malformed signature");
		m->has_signature = true;
	}
	fp = json_object_get(un, "key-fingerprint");
	if (fp && !json_is_null(fp)) {
		if (!json_is_string(fp) || key_fp_parse(json_string_value(fp), m->fp) < 0)
			return err_text(err, -EBADMSG, "manifest: malformed key fingerprint");
		m->has_fp = true;
	}
	m->notes = json_string_value(json_object_get(un, "notes"));
	verify = json_object_get(un, "verify_state");
	m->verify_state = json_string_value(json_object_get(verify, "state"));
	m->verify_upid = json_string_value(json_object_get(verify, "upid"));
	return 0;
}

int manifest_parse(const void *p, size_t len, struct manifest **ret, struct err *err)
{
	CLEANUP(manifest_freep) struct manifest *m = calloc(1, sizeof(*m));
	json_error_t je;
	int r;

	if (!m)
		return err_set(err, -ENOMEM, "manifest");
	m->root = json_loadb(p, len, JSON_REJECT_DUPLICATES, &je);
	if (!json_is_object(m->root))
		return err_text(err, -EBADMSG, "manifest: not a JSON object (line %d)", m->root ? 1 : je.line);
	r = parse_identity(m, err);
	if (r == 0)
		r = parse_files(m, err);
	if (r == 0)
		r = parse_signature(m, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(m);
	return 0;
}

int manifest_decode(const void *p, size_t len, struct manifest **ret, struct err *err)
{
	CLEANUP_BUF struct buf text = { .limit = BLOB_MANIFEST_MAX };
	int r;

	if (blob_kind_encrypted(blob_kind(p, len)))
		return err_text(err, -EBADMSG, "manifest: is encrypted");
	r = blob_decode(p, len, NULL, BLOB_MANIFEST_MAX, &text, err);
	if (r < 0)
		return err_ctx(err, r, "manifest");
	return manifest_parse(text.data ? (const void *)text.data : "", text.len, ret, err);
}

int manifest_check_name(const struct manifest *m, const struct snapshot_name *name, struct err *err)
{
	char is[NAMES_SNAPSHOT_TEXT];

	if (!strcmp(m->name.type, name->type) && !strcmp(m->name.id, name->id) && m->name.time == name->time)
		return 0;
	return err_text(err, -EBADMSG, "manifest is that of another snapshot, %s", names_format_snapshot(&m->name, is));
}

static void canon_string(struct buf *out, const char *s)
{
	static const char from[] = "\"\\\b\t\n\f\r", to[] = "\"\\btnfr";

	buf_u8(out, '"');
	for (; *s; s++) {
		const char *at = strchr(from, *s);

		if (at)
			buf_fmt(out, "\\%c", to[at - from]);
		else if ((unsigned char)*s < 0x20)
			buf_fmt(out, "\\u%04x", (unsigned int)*s);
		else
			buf_u8(out, (uint8_t)*s);
	}
	buf_u8(out, '"');
}

static int canon(struct buf *out, json_t *v);

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int canon_object(struct buf *out, json_t *o)
{
	size_t n = json_object_size(o), i = 0;
	CLEANUP_FREE const char **keys = calloc(n + 1, sizeof(*keys));
	const char *key;
	json_t *v;
	int r = 0;

	if (!keys)
		return -ENOMEM;
	json_object_foreach(o, key, v)
		keys[i++] = key;
	qsort(keys, n, sizeof(*keys), compare_keys);
	buf_u8(out, '{');
	for (i = 0; i < n && r == 0; i++) {
		if (i)
			buf_u8(out, ',');
		canon_string(out, keys[i]);
		buf_u8(out, ':');
		r = canon(out, json_object_get(o, keys[i]));
	}
	buf_u8(out, '}');
	return r;
}

/* Depth is bounded by the parser's limit. */
static int canon(struct buf *out, json_t *v)
{
	int r = 0;

	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return canon_object(out, v);
	case JSON_ARRAY:
		buf_u8(out, '[');
		for (size_t i = 0; i < json_array_size(v) && r == 0; i++) {
			if (i)
				buf_u8(out, ',');
			r = canon(out, json_array_get(v, i));
		}
		buf_u8(out, ']');
		return r;
	case JSON_STRING:
		canon_string(out, json_string_value(v));
		return 0;
	case JSON_INTEGER:
		buf_fmt(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		return 0;
	case JSON_TRUE:
	case JSON_FALSE:
		buf_str(out, json_is_true(v) ? "true" : "false");
		return 0;
	default:
		return -EBADMSG;
	}
}

int manifest_canonical(const struct manifest *m, struct buf *out)
{
	json_auto_t *o = json_copy(m->root);
	int r;

	if (!o)
		return -ENOMEM;
	(void)json_object_del(o, "unprotected");
	(void)json_object_del(o, "signature");
	r = canon_object(out, o);
	return r < 0 ? r : buf_ok(out);
}

/* The form of later official versions: known fields alone, a missing crypt-mode written out. */
static void canonical_known(const struct manifest *m, struct buf *out)
{
	buf_fmt(out, "{\"backup-id\":\"%s\",\"backup-time\":%" PRId64 ",\"backup-type\":\"%s\",\"files\":[", m->name.id,
		m->name.time, m->name.type);
	for (size_t i = 0; i < m->nr_files; i++) {
		const struct store_file *f = &m->files[i];
		char csum[DIGEST_HEX + 1] = "";

		if (f->has_csum)
			digest_to_hex(f->csum, csum);
		buf_fmt(out, "%s{\"crypt-mode\":\"%s\",\"csum\":\"%s\",\"filename\":\"%s\",\"size\":%" PRIu64 "}", i ? "," : "",
			f->crypt_mode, csum, f->name, f->size);
	}
	buf_str(out, "]}");
}

static int check_signature(const struct manifest *m, const struct crypt_key *key, struct err *err)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	uint8_t sig[32];

	if (manifest_canonical(m, &text) == 0 && crypt_key_sign(key, text.data, text.len, sig) == 0 &&
	    !CRYPTO_memcmp(sig, m->signature, sizeof(sig)))
		return 0;
	buf_reset(&text);
	canonical_known(m, &text);
	if (buf_ok(&text))
		return err_set(err, buf_ok(&text), "manifest");
	if (crypt_key_sign(key, text.data, text.len, sig) == 0 && !CRYPTO_memcmp(sig, m->signature, sizeof(sig)))
		return 0;
	return err_text(err, -EBADMSG, "wrong signature in manifest: it was changed, or made with another key");
}

int manifest_check_key(const struct manifest *m, const struct crypt_key *key, struct err *err)
{
	char want[KEY_FP_TEXT], has[KEY_FP_TEXT];

	if (m->has_fp && !key)
		return err_text(err, -ENOKEY, "missing key - manifest was created with key %s", key_fp_format(m->fp, want));
	if (m->has_fp && CRYPTO_memcmp(m->fp, key->fingerprint, sizeof(m->fp)))
		return err_text(err, -EKEYREJECTED, "wrong key - manifest's key %s does not match provided key %s",
				key_fp_format(m->fp, want), key_fp_format(key->fingerprint, has));
	if (!key)
		return 0;
	if (m->has_signature)
		return check_signature(m, key, err);
	for (size_t i = 0; i < m->nr_files; i++)
		if (!strcmp(m->files[i].crypt_mode, "encrypt"))
			return err_text(err, -EBADMSG, "manifest has no signature, but '%s' claims to be encrypted",
					m->files[i].name);
	return 0;
}
