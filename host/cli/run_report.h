/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLI_RUN_REPORT_H
#define HOST_CLI_RUN_REPORT_H

/* What an extraction did, for machines: docs/report.schema.json. */

#include <time.h>

#include "common/jsonw.h"
#include "host/cli/target.h"
#include "host/restore/restore.h"

#define RUN_REPORT_PROBLEMS_MAX 100000
#define RUN_REPORT_PROBLEM_BYTES ((size_t)64 << 20)

struct run_report {
	int fd;			/* -1: none is wanted */
	struct buf out, problems, notes;	/* problems, notes: kept until all files are told */
	struct jsonw w, pw, nw;
	bool has_files;
	struct timespec begun;
	uint64_t nr, nr_told;		/* problems; too many of them are only counted */
	char *unreadable;	/* ranges of disks, as JSON (session_damage()); owned; NULL: none */
	int error;		/* the first failure to write */
};

/** run_report_open() - make or empty the file, before anything else is done, and before host/confine. @path: NULL for none. Return: 0; negative errno. */
int run_report_open(struct run_report *r, const char *path, struct err *err);

/** run_report_begin() - what is asked for. @plain: an archive that is a file, in place of the target; may be NULL. */
void run_report_begin(struct run_report *r, const struct target *t, const char *plain, const struct target_path *path,
		      size_t nr_paths, const char *where, bool has_files, bool dry_run);

/** run_report_file() - a file that is whole, with SHA-256. */
void run_report_file(struct run_report *r, const char *path, size_t len, uint64_t size,
		     const uint8_t sha256[static 32]);

/** run_report_totals() - "totals" as a member of the object being written. */
void run_report_totals(struct jsonw *w, const struct restore_report *sum);

/** run_report_problem() - an entry that was left out or changed. @code: negative errno, 0: none. */
void run_report_problem(struct run_report *r, const char *path, size_t len, int code, const char *what);

/** run_report_note() - what is to be known of a volume. @volume: @len bytes, DISK/part/N. */
void run_report_note(struct run_report *r, const char *volume, size_t len, const char *note);

/** run_report_end() - totals and the exit status. Return: @status; EXIT_TARGET if the report could not be written. */
int run_report_end(struct run_report *r, const struct restore_report *sum, int status, const struct err *err);

#endif
