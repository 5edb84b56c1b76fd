/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/source/store/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "common/b64.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/jsonw.h"
#include "common/utf8.h"

#define SCRYPT_N 65536
#define SCRYPT_R 8
#define SCRYPT_P 1
#define PBKDF2_ITER 65535
#define SALT_BYTES 32
#define FORMAT_ROOM 4096	/* so that the text is never moved while it grows */

const char *key_kdf_name(enum key_kdf kdf)
{
	return kdf == KEY_KDF_NONE ? "none" : kdf == KEY_KDF_SCRYPT ? "scrypt" : "pbkdf2";
}

void key_buf_free(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->room);
	buf_free(b);
}

int key_generate(struct crypt_key *ret)
{
	uint8_t data[KEY_BYTES];
	int r = getrandom(data, sizeof(data), 0) == (ssize_t)sizeof(data) ? crypt_key_init(ret, data) : -EIO;

	explicit_bzero(data, sizeof(data));
	return r;
}

int key_hint_check(const char *hint)
{
	const uint8_t *p = (const uint8_t *)hint;
	size_t left = strlen(hint), chars = 0, n;
	uint32_t cp;

	for (; left; p += n, left -= n, chars++) {
		n = utf8_decode(p, left, &cp);
		if (!n || !utf8_printable(cp))
			return -EINVAL;
	}
	return chars >= 1 && chars <= KEY_HINT_MAX ? 0 : -EINVAL;
}

/* "+01:00" in seconds. */
static int parse_zone(const char *s, int *ret)
{
	static const char form[] = "+00:00";
	int h, m;

	for (size_t i = 0; i < sizeof(form); i++)
		if (form[i] == '0' ? s[i] < '0' || s[i] > '9' : s[i] != form[i] && (i || s[i] != '-'))
			return -EBADMSG;
	h = (s[1] - '0') * 10 + s[2] - '0';
	m = (s[4] - '0') * 10 + s[5] - '0';
	*ret = (*s == '-' ? -1 : 1) * (h * 3600 + m * 60);
	return h <= 23 && m <= 59 ? 0 : -EBADMSG;
}

int key_time_parse(const char *text, int64_t *ret)
{
	struct tm tm = { 0 };
	const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int zone = 0;

	if (!p || (strcmp(p, "Z") != 0 && parse_zone(p, &zone) < 0))
		return -EBADMSG;
	*ret = (int64_t)timegm(&tm) - zone;
	return 0;
}

static void time_now(char ret[static KEY_TIME_TEXT])
{
	time_t t = time(NULL);
	char zone[8] = "";
	struct tm tm;

	if (!localtime_r(&t, &tm))
		memset(&tm, 0, sizeof(tm));
	(void)strftime(ret, KEY_TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)strftime(zone, sizeof(zone), "%z", &tm);
	(void)snprintf(ret + strlen(ret), KEY_TIME_TEXT - strlen(ret), "%.3s:%.2s", zone, zone + 3);
}

static json_t *parse(const char *json, size_t len)
{
	json_t *root;

	crypt_key_wipe_json();
	root = len <= KEY_FILE_MAX ? json_loadb(json, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	if (json_is_object(root))
		return root;
	json_decref(root);
	return NULL;
}

/* An optional string. Return: 0; -EBADMSG if it is something else or too long. */
static int get_text(json_t *root, const char *name, char *ret, size_t room)
{
	json_t *v = json_object_get(root, name);

	*ret = 0;
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_string(v) || json_string_length(v) >= room)
		return -EBADMSG;
	memcpy(ret, json_string_value(v), json_string_length(v) + 1);
	return 0;
}

static int info_from(json_t *root, struct key_info *ret)
{
	json_t *kdf = json_object_get(root, "kdf");
	char fp[KEY_FP_TEXT];

	*ret = (struct key_info){ .kdf = KEY_KDF_NONE };
	if (json_object_get(kdf, "Scrypt"))
		ret->kdf = KEY_KDF_SCRYPT;
	else if (json_object_get(kdf, "PBKDF2"))
		ret->kdf = KEY_KDF_PBKDF2;
	else if (kdf && !json_is_null(kdf))
		return -EBADMSG;
	if (!json_is_string(json_object_get(root, "data")) ||
	    get_text(root, "created", ret->created, sizeof(ret->created)) < 0 ||
	    get_text(root, "modified", ret->modified, sizeof(ret->modified)) < 0 ||
	    get_text(root, "hint", ret->hint, sizeof(ret->hint)) < 0 || get_text(root, "fingerprint", fp, sizeof(fp)) < 0)
		return -EBADMSG;
	ret->has_fingerprint = *fp;
	return *fp ? key_fp_parse(fp, ret->fingerprint) : 0;
}

int key_file_info(const char *json, size_t len, struct key_info *ret, struct err *err)
{
	json_t *root = parse(json, len);
	int r = root ? info_from(root, ret) : -EBADMSG;

	json_decref(root);
	return r < 0 ? err_text(err, -EBADMSG, "not a key file") : 0;
}

static int derive(enum key_kdf kdf, const void *pass, size_t len, const uint8_t salt[static SALT_BYTES],
		  uint8_t ret[static KEY_BYTES])
{
	if (kdf == KEY_KDF_SCRYPT)
		return EVP_PBE_scrypt(pass, len, salt, SALT_BYTES, SCRYPT_N, SCRYPT_R, SCRYPT_P, KEY_SCRYPT_MEM_MAX, ret,
				      KEY_BYTES) ? 0 : -ENOMEM;
	return PKCS5_PBKDF2_HMAC(pass, (int)len, salt, SALT_BYTES, PBKDF2_ITER, EVP_sha256(), KEY_BYTES, ret) ? 0 : -EIO;
}

/* What "data" holds: the key, or IV, tag and the key encrypted. */
static int protect(const struct crypt_key *k, enum key_kdf kdf, const void *pass, size_t pass_len,
		   uint8_t salt[static SALT_BYTES], uint8_t ret[static 64], size_t *ret_len)
{
	uint8_t kek[KEY_BYTES];
	int r;

	if (kdf == KEY_KDF_NONE) {
		memcpy(ret, k->data, KEY_BYTES);
		*ret_len = KEY_BYTES;
		return 0;
	}
	if (getrandom(salt, SALT_BYTES, 0) != SALT_BYTES || getrandom(ret, 16, 0) != 16)
		return -EIO;
	r = derive(kdf, pass, pass_len, salt, kek);
	if (r == 0)
		r = crypt_key_encrypt(kek, ret, k->data, KEY_BYTES, ret + 32, ret + 16);
	explicit_bzero(kek, sizeof(kek));
	*ret_len = 32 + KEY_BYTES;
	return r;
}

static void add_kdf(struct jsonw *w, enum key_kdf kdf, const uint8_t salt[static SALT_BYTES])
{
	jsonw_key(w, "kdf");
	if (kdf == KEY_KDF_NONE) {
		jsonw_null(w);
		return;
	}
	jsonw_object_begin(w);
	jsonw_key(w, kdf == KEY_KDF_SCRYPT ? "Scrypt" : "PBKDF2");
	jsonw_object_begin(w);
	if (kdf == KEY_KDF_SCRYPT) {
		jsonw_key_u64(w, "n", SCRYPT_N);
		jsonw_key_u64(w, "r", SCRYPT_R);
		jsonw_key_u64(w, "p", SCRYPT_P);
	} else {
		jsonw_key_u64(w, "iter", PBKDF2_ITER);
	}
	jsonw_key_b64(w, "salt", salt, SALT_BYTES);
	jsonw_object_end(w);
	jsonw_object_end(w);
}

int key_file_format(const struct crypt_key *k, enum key_kdf kdf, const void *pass, size_t pass_len, const char *created,
		    const char *hint, struct buf *out, struct err *err)
{
	struct jsonw w = JSONW(out);
	char now[KEY_TIME_TEXT], fp[KEY_FP_TEXT];
	uint8_t salt[SALT_BYTES], data[64];
	size_t len = 0;
	int r;

	if (kdf != KEY_KDF_NONE && pass_len < KEY_PASSPHRASE_MIN)
		return err_text(err, -EINVAL, "the passphrase is too short: at least %d bytes", KEY_PASSPHRASE_MIN);
	r = buf_reserve(out, FORMAT_ROOM) ? protect(k, kdf, pass, pass_len, salt, data, &len) : -ENOMEM;
	if (r < 0)
		return err_set(err, r, "make a key file");
	time_now(now);
	jsonw_object_begin(&w);
	add_kdf(&w, kdf, salt);
	jsonw_key_string(&w, "created", created ? created : now);
	jsonw_key_string(&w, "modified", now);
	jsonw_key_b64(&w, "data", data, len);
	jsonw_key_string(&w, "fingerprint", key_fp_format(k->fingerprint, fp));
	if (hint)
		jsonw_key_string(&w, "hint", hint);
	jsonw_object_end(&w);
	explicit_bzero(data, sizeof(data));
	return buf_ok(out) ? err_set(err, buf_ok(out), "make a key file") : 0;
}

int key_file_paper(const char *json, size_t len, const char *subject, struct buf *out, struct err *err)
{
	json_t *root = parse(json, len);
	struct key_info info;
	char *text = NULL;

	if (root && info_from(root, &info) == 0)
		text = json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	json_decref(root);
	if (!text)
		return err_text(err, -EBADMSG, "not a key file");
	(void)buf_reserve(out, strlen(text) + (subject ? strlen(subject) : 0) + 256);
	if (subject)
		buf_fmt(out, "Subject: %s\n\n", subject);
	buf_str(out, "-----BEGIN PROXMOX BACKUP KEY-----\n");
	buf_str(out, text);
	buf_str(out, "\n-----END PROXMOX BACKUP KEY-----\n");
	explicit_bzero(text, strlen(text));
	free(text);
	return buf_ok(out) ? err_set(err, buf_ok(out), "print the key") : 0;
}

/* Gives @tmp its name. */
static int name_file(int dir, const char *tmp, const char *name, bool replace)
{
	if (replace)
		return renameat(dir, tmp, dir, name) < 0 ? -errno : 0;
	if (renameat2(dir, tmp, dir, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (linkat(dir, tmp, dir, name, 0) < 0)
		return -errno;
	(void)unlinkat(dir, tmp, 0);
	return 0;
}

static int write_file(int dir, const char *name, const void *p, size_t n, bool replace)
{
	CLEANUP_CLOSE int fd = -1;
	struct stat st;
	char tmp[64];
	int r;

	(void)snprintf(tmp, sizeof(tmp), ".key.tmp_%d", (int)getpid());
	fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (replace && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		(void)!fchown(fd, st.st_uid, st.st_gid);	/* only root may, and only root needs to */
	r = fchmod(fd, 0600) < 0 ? -errno : io_write_full(fd, p, n);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0)
		r = name_file(dir, tmp, name, replace);
	if (r < 0)
		(void)unlinkat(dir, tmp, 0);
	else
		(void)fsync(dir);
	return r;
}

int key_file_write(const char *path, const void *p, size_t n, bool replace, struct err *err)
{
	CLEANUP_FREE char *real = replace ? realpath(path, NULL) : strdup(path);	/* the file, not a link to it */
	CLEANUP_CLOSE int dir = -1;
	char *slash;
	int r;

	if (!real)
		return err_set(err, -errno, "write '%s'", path);
	slash = strrchr(real, '/');
	if (slash)
		*slash = 0;
	dir = open(!slash ? "." : *real ? real : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = dir < 0 ? -errno : write_file(dir, slash ? slash + 1 : real, p, n, replace);
	return r < 0 ? err_set(err, r, "write '%s'", path) : 0;
}
