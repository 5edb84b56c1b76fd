/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys wrapped with an RSA master key: RSAES-PKCS1-v1_5 of a key file that is not protected. */
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>

#include "common/cleanup.h"
#include "host/source/store/blob.h"
#include "host/source/store/key_file.h"

struct asked {
	const char *pass;
	bool was;		/* the file is protected */
};

static int give_passphrase(char *to, int room, int writing, void *arg)
{
	struct asked *a = arg;
	size_t len = a->pass ? strlen(a->pass) : 0;

	(void)writing;
	a->was = true;
	if (!len || len > (size_t)room)
		return -1;
	memcpy(to, a->pass, len);
	return (int)len;
}

static int load_pem(const char *pem, size_t len, const char *pass, EVP_PKEY **ret, struct err *err)
{
	struct asked asked = { .pass = pass };
	BIO *bio = len <= KEY_FILE_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;

	*ret = bio ? PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, &asked) : NULL;
	(void)BIO_free(bio);
	if (*ret && EVP_PKEY_get_base_id(*ret) == EVP_PKEY_RSA)
		return 0;
	EVP_PKEY_free(*ret);
	*ret = NULL;
	if (asked.was && !pass)
		return err_text(err, -ENOKEY, "the master key is protected by a passphrase and there is none");
	if (asked.was)
		return err_text(err, -EKEYREJECTED, "cannot decrypt the master key (wrong passphrase?)");
	return err_text(err, -EBADMSG, "the master key is not an RSA private key in PEM form");
}

static int decrypt(EVP_PKEY *key, const void *p, size_t n, struct buf *out, struct err *err)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
	size_t room = KEY_RSA_MAX;
	uint8_t *to = buf_reserve(out, room);
	int r = -EKEYREJECTED;

	if (!c || !to)
		r = -ENOMEM;
	else if (EVP_PKEY_decrypt_init(c) > 0 && EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) > 0 &&
		 EVP_PKEY_decrypt(c, to, &room, p, n) > 0)
		r = 0;
	EVP_PKEY_CTX_free(c);
	if (r == -EKEYREJECTED)
		return err_text(err, r, "cannot decrypt the key: damaged, or encrypted for another master key");
	if (r < 0)
		return err_set(err, r, "decrypt the key");
	out->len += room;
	return 0;
}

int key_rsa_unwrap(const char *pem, size_t pem_len, const char *pass, const void *wrapped, size_t n, struct buf *out,
		   struct err *err)
{
	CLEANUP_BUF struct buf plain = BUF_INIT;
	EVP_PKEY *key = NULL;
	int r;

	if (blob_kind(wrapped, n) >= 0) {
		r = blob_decode(wrapped, n, NULL, KEY_RSA_MAX, &plain, err);
		if (r < 0)
			return err_ctx(err, r, "encrypted key");
		wrapped = plain.data ? plain.data : (const uint8_t *)"";
		n = plain.len;
	}
	r = load_pem(pem, pem_len, pass, &key, err);
	if (r < 0)
		return r;
	if (n != (size_t)EVP_PKEY_get_size(key) || n > KEY_RSA_MAX)
		r = err_text(err, -EBADMSG, "the encrypted key has %zu bytes, the master key makes %d", n, EVP_PKEY_get_size(key));
	else
		r = decrypt(key, wrapped, n, out, err);
	EVP_PKEY_free(key);
	return r;
}
