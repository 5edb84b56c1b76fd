/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/extract.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/grow.h"
#include "common/io.h"

#define PATHS_MAX (64u << 20)	/* bytes of --paths-from */

int extract_add_path(struct extract *x, const char *text, size_t len, struct err *err)
{
	const bool base64 = command_opt(x->args->cmd, "base64", 6) && args_flag(x->args, "base64");
	struct target_path *p;
	int r;

	if (grow(&x->path, &x->room, x->nr_paths, sizeof(*x->path)) < 0)
		return err_set(err, -ENOMEM, "paths");
	p = &x->path[x->nr_paths];
	if (x->plain.meta)
		r = target_path_within(x->plain.meta, text, len, base64, p, err);
	else
		r = target_path(x->target, text, len, base64, p, err);
	if (r < 0)
		return r;
	x->nr_paths++;
	x->has_image |= !p->archive && !p->root;
	return 0;
}

static int add_paths_from(struct extract *x, const char *file, struct err *err)
{
	char end = args_flag(x->args, "null") ? 0 : '\n';
	CLEANUP_FREE char *text = NULL;
	const char *p, *stop;
	size_t len;
	int r;

	r = io_read_file(AT_FDCWD, strcmp(file, "-") ? file : "/dev/stdin", PATHS_MAX, &text, &len);
	if (r < 0)
		return err_set(err, r, "list of paths");
	for (p = text, stop = text + len; r == 0 && p < stop;) {
		const char *e = memchr(p, end, (size_t)(stop - p));

		e = e ? e : stop;
		if (e > p)
			r = extract_add_path(x, p, (size_t)(e - p), err);
		p = e + 1;
	}
	return r;
}

int extract_find_paths(struct extract *x, size_t *pos, struct err *err)
{
	const struct args *a = x->args;
	const char *p, *from = args_text(a, "paths-from");
	int r = 0;

	for (size_t i = 0; r == 0 && (p = args_list(a, "path", i)); i++)
		r = extract_add_path(x, p, strlen(p), err);
	if (r == 0 && from)
		r = add_paths_from(x, from, err);
	if (r < 0)
		return r;
	if (!from && !args_has(a, "path")) {
		if (x->plain.meta)
			return extract_add_path(x, "", 0, err);
		if (*pos >= a->nr_pos)
			return err_text(err, -EINVAL, "PATH is missing");
		r = extract_add_path(x, a->pos[*pos], strlen(a->pos[*pos]), err);
		(*pos)++;
	}
	return r;
}

void extract_paths_free(struct extract *x)
{
	for (size_t i = 0; i < x->nr_paths; i++)
		target_path_free(&x->path[i]);
	free(x->path);
}
