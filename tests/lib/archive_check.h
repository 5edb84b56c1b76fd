/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_LIB_ARCHIVE_CHECK_H
#define TESTS_LIB_ARCHIVE_CHECK_H

/*
 * What an archive must contain: a manifest with one JSON object a member, in the form of the official golden data or in
 * that of the Go writers' (golden/README.md, golden/go-pxar/README.md).
 */

#include <stdbool.h>
#include <jansson.h>

#include "common/pxar/entry.h"

struct manifest_check {
	json_t *by_path;	/* base64 path: array of members */
	bool go;		/* form of the Go writers */
	bool no_dir_acl;	/* do not compare ACLs of directories */
	size_t nr, seen;
	unsigned int failures;
};

/* @file: zstd-compressed. */
void check_load(struct manifest_check *c, const char *file, bool go);
void check_free(struct manifest_check *c);

/*
 * check_member() - compare a member with the manifest
 * @sha: hex digest of a file's contents; NULL if not known
 * @links: a hard link is a hard link here, else it was followed
 */
void check_member(struct manifest_check *c, const char *path, size_t path_len, const struct pxar_entry *e, const char *sha,
		  bool links);

/* check_done() - was all seen, and right? Counts as failure what was not. Return: failures. */
unsigned int check_done(struct manifest_check *c);

#endif
