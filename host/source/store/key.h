/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_STORE_KEY_H
#define HOST_SOURCE_STORE_KEY_H

/* Encryption keys: the key file, and what is derived from a data key. */

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define KEY_BYTES 32
#define KEY_FILE_MAX 65536
#define KEY_PASSPHRASE_MIN 5
#define KEY_FP_TEXT (3 * 32)		/* "aa:bb:..." with its NUL */
#define KEY_SCRYPT_MEM_MAX (UINT64_C(1025) << 20)
#define KEY_SCRYPT_P_MAX 16
#define KEY_PBKDF2_ITER_MAX 100000000u

struct crypt_key {
	uint8_t data[KEY_BYTES];	/* encrypts blobs */
	uint8_t id_key[KEY_BYTES];	/* goes into digests, signatures and the fingerprint */
	uint8_t fingerprint[32];
};

/** crypt_key_init() - derive the rest from a data key. Return: 0; -EIO if the library fails. */
int crypt_key_init(struct crypt_key *k, const uint8_t data[static KEY_BYTES]);

/** crypt_key_wipe() - overwrite it. */
void crypt_key_wipe(struct crypt_key *k);

/** crypt_key_decrypt() - AES-256-GCM, 16-byte IV, no AAD. Return: 0; -EBADMSG if the tag is wrong; -EIO. */
int crypt_key_decrypt(const uint8_t key[static KEY_BYTES], const uint8_t iv[static 16], const uint8_t tag[static 16],
		      const void *p, size_t len, void *out);

/** crypt_key_encrypt() - the reverse; @ret_tag: 16 bytes. The IV must never come twice with one key. Return: 0; -EIO. */
int crypt_key_encrypt(const uint8_t key[static KEY_BYTES], const uint8_t iv[static 16], const void *p, size_t len,
		      void *out, uint8_t ret_tag[static 16]);

/**
 * crypt_key_wipe_json() - from now on all memory of the JSON parser is overwritten before it is freed
 * Key files are JSON, and the parser makes copies. To be called before other threads use the parser; key_load() does it, too.
 */
void crypt_key_wipe_json(void);

/** crypt_key_sign() - HMAC-SHA256 with the id key. Return: 0; -EIO. */
int crypt_key_sign(const struct crypt_key *k, const void *p, size_t len, uint8_t ret[static 32]);

/** key_fp_format() - 32 lower-case hex pairs joined by colons. Return: @ret. */
char *key_fp_format(const uint8_t fp[static 32], char ret[static KEY_FP_TEXT]);

/** key_fp_parse() - the same backwards; colons may stand anywhere. Return: 0; -EBADMSG. */
int key_fp_parse(const char *text, uint8_t ret[static 32]);

/**
 * key_load() - a key file
 * @json, @len:     contents, at most KEY_FILE_MAX bytes
 * @pass, @pass_len: passphrase; NULL if there is none
 * Return: 0; -EBADMSG malformed; -ENOKEY a passphrase is needed; -EKEYREJECTED a wrong one (the text has the hint);
 * -E2BIG for a derivation that costs too much.
 */
int key_load(const char *json, size_t len, const void *pass, size_t pass_len, struct crypt_key *ret, struct err *err);

#endif
