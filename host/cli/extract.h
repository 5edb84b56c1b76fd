/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLI_EXTRACT_H
#define HOST_CLI_EXTRACT_H

/*
 * What extract, pxar extract and restore of a file archive share: what is wanted of entries (extract_options.c), which paths
 * (extract_paths.c), the streams out of the VM or a file archive and where they go (extract_stream.c), what is told of it
 * and the exit status (extract_verdict.c). extract.c puts them together.
 */

#include <time.h>

#include "host/cli/archive.h"
#include "host/cli/run_report.h"
#include "host/cli/target.h"
#include "host/restore/restore.h"

enum form { FORM_DIR, FORM_PLAIN, FORM_TAR, FORM_PXAR, FORM_ZIP };

struct extract {
	const struct args *args;
	struct target *target;		/* borrowed */
	struct archive_name plain;	/* an archive that is a file is read in place of the target; meta NULL: none */
	char *plain_memory;		/* behind it */
	struct target_path *path;
	size_t nr_paths, room;
	bool has_image;			/* among them: a VM is needed */
	const char *where;		/* TARGET */
	enum form form;
	int out;			/* directory, or stream */
	struct restore_target *to;	/* what is made there; NULL: the bytes go out as they come */
	struct restore_options opt;
	struct filter *filter;		/* of opt; NULL: everything */
	bool dry_run, quiet, zstd;
	bool strict;			/* the first member of a file archive that is not whole ends it */
	struct restore_report sum;
	struct cli_notes notes;
	struct run_report machine;	/* --report */
	struct client *client;		/* of the stream being read */
	struct archive_stream *archive;	/* the same of a file archive */
	uint64_t damaged;		/* members of file archives that are not whole */
	struct err first_damage;
	bool ended;			/* its end and its good totals were seen */
	uint64_t bytes, errors;
	int target_error;		/* writing failed: not the VM's fault */
	struct timespec start;
	const volatile sig_atomic_t *stop;
};

/* The options of all that follows; paths are base64 if the command has that option. */
extern const struct opt extract_opts[];

/**
 * extract_command() - a command that has extract_opts, from its options to its exit status
 * @prepare: opens what is read, sets path and where, and moves *@pos behind the positional arguments it used
 */
typedef int extract_prepare_fn(struct extract *x, size_t *pos, struct err *err);
int extract_command(const struct args *a, extract_prepare_fn *prepare);

/** extract_options() - what the command line says of entries and target; before anything is opened. Return: 0; -EINVAL. */
int extract_options(struct extract *x, struct err *err);

/** extract_check_options() - do they go with the form? Return: 0; -EINVAL. */
int extract_check_options(const struct extract *x, struct err *err);

/** extract_pattern() - one more that includes or excludes entries; before extract_run(). Return: 0; -EINVAL. */
int extract_pattern(struct extract *x, const char *pattern, size_t len, bool exclude, struct err *err);

/** extract_add_path() - one more path. Return: 0; negative errno. */
int extract_add_path(struct extract *x, const char *text, size_t len, struct err *err);

/**
 * extract_find_paths() - of --path, --paths-from and, without them, the positional argument *@pos, which is moved on; of an
 * archive that is a file, all of it
 */
int extract_find_paths(struct extract *x, size_t *pos, struct err *err);

void extract_paths_free(struct extract *x);

/** extract_run() - all paths to where they go. Return: 0 when all streams were complete; negative errno. */
int extract_run(struct extract *x, struct err *err);

/** extract_progress() - show how far it is. */
void extract_progress(struct extract *x);

/** extract_note() - a restore_note_fn. */
void extract_note(void *extract, const char *path, size_t path_len, int code, const char *what);

/** extract_made() - a restore_made_fn. */
void extract_made(void *extract, const char *path, size_t path_len, const struct pxar_entry *e, bool replaced,
		  const uint8_t *sha256);

/** extract_damage_counted() - a tree_note_fn for what the stream says, too: the exit status is that of damage. */
void extract_damage_counted(void *extract, const char *path, size_t path_len, int code, const char *what);

/** extract_damage() - a tree_note_fn that tells of it as well. */
void extract_damage(void *extract, const char *path, size_t path_len, int code, const char *what);

/** extract_result() - with JSON Lines: the last of them. */
void extract_result(const struct extract *x, int status);

/** extract_verdict() - tell what there is to tell of a finished or failed extraction. @r: of extract_run(). Return: exit status. */
int extract_verdict(struct extract *x, int r, struct err *err);

#endif
