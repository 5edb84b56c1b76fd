/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_STORE_KEY_FILE_H
#define HOST_SOURCE_STORE_KEY_FILE_H

/* Key files: made, looked at and written. key.h reads them. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "host/source/store/key.h"

#define KEY_HINT_MAX 64		/* characters */
#define KEY_TIME_TEXT 26	/* "2026-02-03T12:00:00+01:00" with its NUL */
#define KEY_RSA_MAX 4096	/* bytes of a wrapped key: an RSA modulus */

enum key_kdf { KEY_KDF_NONE, KEY_KDF_SCRYPT, KEY_KDF_PBKDF2 };

struct key_info {
	enum key_kdf kdf;
	char created[KEY_TIME_TEXT], modified[KEY_TIME_TEXT];	/* RFC 3339; "" if absent */
	bool has_fingerprint;
	uint8_t fingerprint[32];	/* as the file says: nobody has checked it */
	char hint[4 * KEY_HINT_MAX + 1];	/* foreign text */
};

/** key_file_info() - what can be read without the passphrase. Return: 0; -EBADMSG. */
int key_file_info(const char *json, size_t len, struct key_info *ret, struct err *err);

/** key_kdf_name() - "none", "scrypt", "pbkdf2". */
const char *key_kdf_name(enum key_kdf kdf);

/** key_time_parse() - "2026-02-03T12:00:00+01:00" or "...Z" as Unix time. Return: 0; -EBADMSG. */
int key_time_parse(const char *text, int64_t *ret);

/** key_generate() - a new data key. Return: 0; -EIO. */
int key_generate(struct crypt_key *ret);

/** key_hint_check() - 1 to KEY_HINT_MAX characters of printable UTF-8. Return: 0; -EINVAL. */
int key_hint_check(const char *hint);

/**
 * key_file_format() - text of a key file; its time of change is now
 * @pass, @pass_len: for all but KEY_KDF_NONE; at least KEY_PASSPHRASE_MIN bytes
 * @created: kept as it is; NULL: now
 * @hint:    NULL if there is none
 * @out:     appended to; the caller wipes it
 * Return: 0; -EINVAL for a short passphrase; -ENOMEM; -EIO.
 */
int key_file_format(const struct crypt_key *k, enum key_kdf kdf, const void *pass, size_t pass_len, const char *created,
		    const char *hint, struct buf *out, struct err *err);

/** key_file_paper() - append lines to be printed: @subject (may be NULL) and the file's text between begin and end. */
int key_file_paper(const char *json, size_t len, const char *subject, struct buf *out, struct err *err);

/**
 * key_file_write() - a private file (0600), there as a whole or not at all
 * @replace: over what is there, whose owner is kept; else -EEXIST
 * Return: 0; negative errno.
 */
int key_file_write(const char *path, const void *p, size_t n, bool replace, struct err *err);

/**
 * key_rsa_unwrap() - the key file in "rsa-encrypted.key"
 * @pem, @pem_len:  RSA private key
 * @pass:           its passphrase; NULL if there is none
 * @wrapped, @n:    the RSA ciphertext, or the blob that holds it
 * @out:            text of the key file, not protected; the caller wipes it
 * Return: 0; -ENOKEY a passphrase is needed; -EKEYREJECTED for a wrong one, or another key; -EBADMSG.
 */
int key_rsa_unwrap(const char *pem, size_t pem_len, const char *pass, const void *wrapped, size_t n, struct buf *out,
		   struct err *err);

/** key_buf_free() - buf_free() of what held a key. */
void key_buf_free(struct buf *b);

#endif
