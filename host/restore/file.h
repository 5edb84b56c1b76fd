/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_RESTORE_FILE_H
#define HOST_RESTORE_FILE_H

/*
 * One file on its way: without a name where the file system can do that (O_TMPFILE), else under .pluck-XXXXXX; it gets
 * its final name when it is whole.
 */

#include "common/pxar/entry.h"

#define FILE_TEMP_MAX 24

struct new_file {
	int fd;			/* -1: none */
	int dirfd;		/* borrowed */
	char temp[FILE_TEMP_MAX];	/* "" for a file without a name */
};

/** file_begin() - Return: 0; negative errno. */
int file_begin(struct new_file *f, int dirfd, const struct pxar_entry *e);

/** file_data() - bytes at @off; blocks of zeros become holes, if the entry does not tell its own. Return: 0; negative errno. */
int file_data(struct new_file *f, const struct pxar_entry *e, uint64_t off, const uint8_t *p, size_t len);

/** file_name() - give it its name. @replace: in place of another file. Return: 0; -EEXIST; negative errno. */
int file_name(struct new_file *f, const char *name, bool replace);

/** file_end() - close; without a name it is gone. */
void file_end(struct new_file *f);

/** file_temp_name() - a random name that begins with ".pluck-". */
void file_temp_name(char ret[static FILE_TEMP_MAX]);

#endif
