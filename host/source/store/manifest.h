/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_SOURCE_STORE_MANIFEST_H
#define HOST_SOURCE_STORE_MANIFEST_H

/* The manifest of a snapshot: a JSON object in an unencrypted blob, "index.json.blob". */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <jansson.h>

#include "common/err.h"
#include "host/source/store/names.h"
#include "host/source/store/store.h"

struct buf;
struct crypt_key;

#define MANIFEST_NAME "index.json.blob"
#define MANIFEST_FILES_MAX 4096

struct manifest {
	json_t *root;
	struct snapshot_name name;
	struct store_file *files;	/* names borrowed from root */
	size_t nr_files;
	bool has_signature, has_fp;
	uint8_t signature[32], fp[32];
	const char *notes, *verify_state, *verify_upid;	/* not protected by the signature; NULL if absent */
};

/**
 * manifest_parse() - the JSON text
 * Checks types and grammar of everything known; every file name is a valid stored name and none comes twice.
 * Return: 0; -EBADMSG; -ENOMEM.
 */
int manifest_parse(const void *p, size_t len, struct manifest **ret, struct err *err);

/** manifest_decode() - the same from the raw blob file. -EBADMSG also for an encrypted blob. */
int manifest_decode(const void *p, size_t len, struct manifest **ret, struct err *err);
void manifest_free(struct manifest *m);

/** manifest_check_name() - is it the manifest of this snapshot? Return: 0; -EBADMSG. */
int manifest_check_name(const struct manifest *m, const struct snapshot_name *name, struct err *err);

/** manifest_canonical() - append the bytes that are signed. Return: 0; -EBADMSG for null and fractions; -ENOMEM. */
int manifest_canonical(const struct manifest *m, struct buf *out);

/**
 * manifest_check_key() - fingerprint and signature against a key
 * @key: NULL if there is none
 * Return: 0; -ENOKEY if the manifest names a key and there is none; -EKEYREJECTED for another key; -EBADMSG for a wrong
 * signature, and for files that claim to be encrypted in a manifest without a signature.
 */
int manifest_check_key(const struct manifest *m, const struct crypt_key *key, struct err *err);

/** manifest_find() - a file by its stored name. Return: borrowed; NULL if it is not in the manifest. */
const struct store_file *manifest_find(const struct manifest *m, const char *stored_name);

#endif
