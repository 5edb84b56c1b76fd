/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/stored.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "host/cli/archive.h"

static const char *const unlisted[] = { "index.json.blob", "client.log.blob" };

static bool is_there(const struct snapshot *sn, const char *name)
{
	const struct store_file *f;
	size_t nr;

	for (size_t i = 0; i < sizeof(unlisted) / sizeof(*unlisted); i++)
		if (!strcmp(name, unlisted[i]))
			return true;
	f = snapshot_files(sn, &nr);
	for (size_t i = 0; i < nr; i++)
		if (!strcmp(f[i].name, name))
			return true;
	return false;
}

int stored_find(const struct snapshot *sn, const char *arg, struct buf *ret, struct err *err)
{
	static const char *const suffixes[] = { "", ".fidx", ".didx", ".blob", ".img.fidx" };
	const size_t before = ret->len;
	const char *name;
	char q[300];

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
		ret->len = before;
		buf_str(ret, arg);
		buf_str(ret, suffixes[i]);
		name = buf_cstr(ret);
		if (!name)
			return err_set(err, buf_ok(ret), "file of the snapshot");
		if (is_there(sn, name + before))
			return 0;
	}
	ret->len = before;
	name = archive_resolve(sn, arg, strlen(arg));
	if (!name)
		return err_text(err, -ENOENT, "the snapshot has no '%s': 'pluck files' shows what there is",
				log_quote(arg, strlen(arg), q, sizeof(q)));
	buf_str(ret, name);
	return buf_cstr(ret) ? 0 : err_set(err, buf_ok(ret), "file of the snapshot");
}

size_t stored_without(const char *name, size_t len, const char *suffix)
{
	const size_t n = strlen(suffix);

	return len > n && !memcmp(name + len - n, suffix, n) ? len - n : len;
}

bool stored_has_suffix(const char *name, const char *suffix)
{
	const size_t len = strlen(name);

	return stored_without(name, len, suffix) < len;
}

bool stored_is_archive(const char *name)
{
	return stored_has_suffix(name, ".pxar.didx") || stored_has_suffix(name, ".mpxar.didx");
}
