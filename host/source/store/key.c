/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/source/store/key.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/b64.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "host/source/store/digest.h"

int crypt_key_init(struct crypt_key *k, const uint8_t data[static KEY_BYTES])
{
	static const char label[] = "Proxmox Backup Encryption Key Fingerprint";
	uint8_t c[DIGEST_BYTES];

	memmove(k->data, data, KEY_BYTES);
	if (!PKCS5_PBKDF2_HMAC((const char *)k->data, KEY_BYTES, (const uint8_t *)"_id_key", 7, 10, EVP_sha256(), KEY_BYTES,
			       k->id_key))
		return -EIO;
	if (digest_sha256(label, sizeof(label) - 1, NULL, 0, c) < 0)
		return -EIO;
	return digest_sha256(c, sizeof(c), k->id_key, KEY_BYTES, k->fingerprint);
}

void crypt_key_wipe(struct crypt_key *k)
{
	OPENSSL_cleanse(k, sizeof(*k));
}

int crypt_key_decrypt(const uint8_t key[static KEY_BYTES], const uint8_t iv[static 16], const uint8_t tag[static 16],
		      const void *p, size_t len, void *out)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t tag_copy[16], tail[16];
	int n, r = -EIO;

	memcpy(tag_copy, tag, sizeof(tag_copy));
	if (c && len < INT32_MAX && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, NULL, NULL) &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_IVLEN, 16, NULL) && EVP_DecryptInit_ex(c, NULL, NULL, key, iv) &&
	    (!len || EVP_DecryptUpdate(c, out, &n, p, (int)len)) &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, 16, tag_copy))
		r = EVP_DecryptFinal_ex(c, tail, &n) > 0 ? 0 : -EBADMSG;
	EVP_CIPHER_CTX_free(c);
	return r;
}

int crypt_key_encrypt(const uint8_t key[static KEY_BYTES], const uint8_t iv[static 16], const void *p, size_t len,
		      void *out, uint8_t ret_tag[static 16])
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t tail[16];
	int n, r = -EIO;

	if (c && len < INT32_MAX && EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, NULL, NULL) &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_IVLEN, 16, NULL) && EVP_EncryptInit_ex(c, NULL, NULL, key, iv) &&
	    (!len || EVP_EncryptUpdate(c, out, &n, p, (int)len)) && EVP_EncryptFinal_ex(c, tail, &n) &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, 16, ret_tag))
		r = 0;
	EVP_CIPHER_CTX_free(c);
	return r;
}

static void free_wiped(void *p)
{
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

void crypt_key_wipe_json(void)
{
	json_set_alloc_funcs(malloc, free_wiped);
}

int crypt_key_sign(const struct crypt_key *k, const void *p, size_t len, uint8_t ret[static 32])
{
	return HMAC(EVP_sha256(), k->id_key, KEY_BYTES, p, len, ret, NULL) ? 0 : -EIO;
}

char *key_fp_format(const uint8_t fp[static 32], char ret[static KEY_FP_TEXT])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < 32; i++) {
		ret[3 * i] = digits[fp[i] >> 4];
		ret[3 * i + 1] = digits[fp[i] & 15];
		ret[3 * i + 2] = i < 31 ? ':' : 0;
	}
	return ret;
}

int key_fp_parse(const char *text, uint8_t ret[static 32])
{
	char hex[DIGEST_HEX];
	size_t n = 0;

	for (; *text; text++) {
		if (*text == ':')
			continue;
		if (n == sizeof(hex))
			return -EBADMSG;
		hex[n++] = *text;
	}
	return digest_from_hex(hex, n, ret);
}

static int get_b64(json_t *o, const char *name, struct buf *out)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? b64_decode(out, s, strlen(s)) : -EBADMSG;
}

static int get_u64(json_t *o, const char *name, uint64_t *ret)
{
	json_t *v = json_object_get(o, name);

	if (!json_is_integer(v) || json_integer_value(v) <= 0)
		return -EBADMSG;
	*ret = (uint64_t)json_integer_value(v);
	return 0;
}

static int derive_scrypt(json_t *o, const void *pass, size_t pass_len, uint8_t ret[static KEY_BYTES], struct err *err)
{
	CLEANUP_BUF struct buf salt = BUF_INIT;
	uint64_t n, r, p;

	if (get_u64(o, "n", &n) < 0 || get_u64(o, "r", &r) < 0 || get_u64(o, "p", &p) < 0 || get_b64(o, "salt", &salt) < 0)
		return err_text(err, -EBADMSG, "key file: malformed scrypt parameters");
	if (n & (n - 1) || n < 2)
		return err_text(err, -EBADMSG, "key file: scrypt n is not a power of two");
	if (r > 1024 || p > KEY_SCRYPT_P_MAX || n > KEY_SCRYPT_MEM_MAX / 128 / r)
		return err_text(err, -E2BIG, "key file: scrypt parameters need too much memory or time");
	if (!EVP_PBE_scrypt(pass, pass_len, salt.len ? salt.data : (const uint8_t *)"", salt.len, n, r, p, KEY_SCRYPT_MEM_MAX,
			    ret, KEY_BYTES))
		return err_text(err, -ENOMEM, "key file: scrypt failed (out of memory?)");
	return 0;
}

static int derive_pbkdf2(json_t *o, const void *pass, size_t pass_len, uint8_t ret[static KEY_BYTES], struct err *err)
{
	CLEANUP_BUF struct buf salt = BUF_INIT;
	uint64_t iter;

	if (get_u64(o, "iter", &iter) < 0 || get_b64(o, "salt", &salt) < 0)
		return err_text(err, -EBADMSG, "key file: malformed PBKDF2 parameters");
	if (iter > KEY_PBKDF2_ITER_MAX || pass_len > INT32_MAX)
		return err_text(err, -E2BIG, "key file: PBKDF2 takes too long");
	if (!PKCS5_PBKDF2_HMAC(pass, (int)pass_len, salt.len ? salt.data : (const uint8_t *)"", (int)salt.len, (int)iter,
			       EVP_sha256(), KEY_BYTES, ret))
		return err_text(err, -EIO, "key file: PBKDF2 failed");
	return 0;
}

static int derive(json_t *kdf, const void *pass, size_t pass_len, uint8_t ret[static KEY_BYTES], struct err *err)
{
	json_t *o;

	if (json_object_size(kdf) == 1 && (o = json_object_get(kdf, "Scrypt")))
		return derive_scrypt(o, pass, pass_len, ret, err);
	if (json_object_size(kdf) == 1 && (o = json_object_get(kdf, "PBKDF2")))
		return derive_pbkdf2(o, pass, pass_len, ret, err);
	return err_text(err, -EBADMSG, "key file: unknown key derivation");
}

static int wrong_passphrase(json_t *root, struct err *err)
{
	const char *hint = json_string_value(json_object_get(root, "hint"));
	char quoted[300];

	if (hint)
		return err_text(err, -EKEYREJECTED, "cannot decrypt the key (password hint: %s)",
				log_quote(hint, strlen(hint), quoted, sizeof(quoted)));
	return err_text(err, -EKEYREJECTED, "cannot decrypt the key (wrong passphrase?)");
}

/* The 32 bytes of the data key out of the key file. */
static int unlock(json_t *root, struct buf *data, const void *pass, size_t pass_len, uint8_t ret[static KEY_BYTES],
		  struct err *err)
{
	json_t *kdf = json_object_get(root, "kdf");
	uint8_t kek[KEY_BYTES];
	int r;

	if (!kdf || json_is_null(kdf)) {
		if (data->len != KEY_BYTES)
			return err_text(err, -EBADMSG, "key file: the key has %zu bytes instead of 32", data->len);
		memcpy(ret, data->data, KEY_BYTES);
		return 0;
	}
	if (data->len != 32 + KEY_BYTES)
		return err_text(err, -EBADMSG, "key file: the encrypted key has %zu bytes instead of 64", data->len);
	if (!pass)
		return err_text(err, -ENOKEY, "the key file is protected by a passphrase and there is none");
	if (pass_len < KEY_PASSPHRASE_MIN)
		return err_text(err, -EKEYREJECTED, "passphrase is too short");
	r = derive(kdf, pass, pass_len, kek, err);
	if (r == 0) {
		r = crypt_key_decrypt(kek, data->data, data->data + 16, data->data + 32, KEY_BYTES, ret);
		if (r < 0)
			r = wrong_passphrase(root, err);
	}
	OPENSSL_cleanse(kek, sizeof(kek));
	return r;
}

static int check_fingerprint(json_t *root, const struct crypt_key *k, struct err *err)
{
	json_t *v = json_object_get(root, "fingerprint");
	char has[KEY_FP_TEXT];
	uint8_t fp[32];

	if (!v || json_is_null(v))
		return 0;
	if (!json_is_string(v) || key_fp_parse(json_string_value(v), fp) < 0)
		return err_text(err, -EBADMSG, "key file: malformed fingerprint");
	if (memcmp(fp, k->fingerprint, sizeof(fp)))
		return err_text(err, -EBADMSG, "key file has the wrong fingerprint, its key has %s",
				key_fp_format(k->fingerprint, has));
	return 0;
}

int key_load(const char *json, size_t len, const void *pass, size_t pass_len, struct crypt_key *ret, struct err *err)
{
	CLEANUP(json_decrefp) json_t *root = NULL;
	CLEANUP_BUF struct buf data = BUF_INIT;
	uint8_t raw[KEY_BYTES];
	struct crypt_key k;
	int r;

	crypt_key_wipe_json();
	root = len <= KEY_FILE_MAX ? json_loadb(json, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	if (!json_is_object(root) || get_b64(root, "data", &data) < 0)
		return err_text(err, -EBADMSG, "not a key file");
	r = unlock(root, &data, pass, pass_len, raw, err);
	if (data.data)
		OPENSSL_cleanse(data.data, data.len);
	if (r < 0)
		return r;
	r = crypt_key_init(&k, raw);
	OPENSSL_cleanse(raw, sizeof(raw));
	if (r < 0)
		return err_set(err, r, "derive from the key");
	r = check_fingerprint(root, &k, err);
	if (r == 0)
		*ret = k;
	crypt_key_wipe(&k);
	return r;
}
