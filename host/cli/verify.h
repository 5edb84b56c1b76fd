/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLI_VERIFY_H
#define HOST_CLI_VERIFY_H

/* What verify finds, as text or JSON (verify_out.c); which snapshots it looks at is cmd_verify.c's. */

#include "common/jsonw.h"
#include "common/spool.h"
#include "host/cli/cli.h"
#include "host/source/store/check.h"

enum verify_state {
	VERIFY_OK,
	VERIFY_SEALED,		/* good as far as that can be said without the key */
	VERIFY_DAMAGED,
	VERIFY_SKIPPED,		/* unfinished, or being written */
	VERIFY_REFUSED,		/* not signed, which --require-signature does not take */
};

struct verify_out {
	enum cli_format format;
	struct buf out;
	struct spool files;		/* text of the snapshot's problems, which comes behind its line */
	struct jsonw w;
	bool damaged, sealed;		/* of the snapshot */
	bool quiet;			/* tell only of what is not good */
	uint64_t nr[VERIFY_REFUSED + 1];
};

/** verify_out_begin() - before the first snapshot */
void verify_out_begin(struct verify_out *o);

/** verify_out_snapshot() - of this snapshot the files come next. @signature: "valid", "none" or "unchecked". */
void verify_out_snapshot(struct verify_out *o, const char *ns, const char *name, const char *signature);

/**
 * verify_out_file() - one file; with JSON its object stays open for verify_out_path(), until verify_out_file_end()
 * Return: 0; -ENOMEM; as spool_add() and cli_out_buf().
 */
int verify_out_file(struct verify_out *o, const struct check_file *f);

/** verify_out_path() - a member of the file archive that is not whole; foreign bytes. Return: as verify_out_file(). */
int verify_out_path(struct verify_out *o, const char *path, size_t len, const char *why);
void verify_out_file_end(struct verify_out *o);

/**
 * verify_out_snapshot_end() - @state: what else than its files says; VERIFY_OK: nothing. @why: may be NULL
 * Return: 0; as verify_out_file().
 */
int verify_out_snapshot_end(struct verify_out *o, const char *ns, const char *name, enum verify_state state,
			    const char *why);

/** verify_out_end() - totals */
void verify_out_end(struct verify_out *o, const struct check_stats *s);

void verify_out_free(struct verify_out *o);

#endif
