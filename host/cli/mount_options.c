/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/mount_options.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/log.h"
#include "common/wire.h"

#define TYPE_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
#define TYPE_MAX 31

/* One type, or a list without empty items. */
static int check_types(const char *name, const char *s, bool list, struct err *err)
{
	char q[300];

	for (const char *p = s;; p++) {
		const size_t n = strspn(p, TYPE_CHARS);

		if (!n || n > TYPE_MAX || (p[n] && (p[n] != ',' || !list)))
			return err_text(err, -EINVAL, "--%s '%s': %s, by the names that 'pluck disks' shows", name,
					log_quote(s, strlen(s), q, sizeof(q)),
					list ? "types of file systems, separated by commas" : "a type of file system");
		p += n;
		if (!*p)
			break;
	}
	if (strlen(s) > WIRE_MOUNT_MAX / 2)
		return err_text(err, -E2BIG, "--%s is too long", name);
	return 0;
}

int mount_options_text(const struct args *a, char **ret, struct err *err)
{
	static const char *const numbers[] = { "superblock", "checkpoint", "codepage" };
	const char *type = args_text(a, "fs-type"), *allow = args_text(a, "fs-allow");
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r = type ? check_types("fs-type", type, false, err) : 0;

	if (r == 0 && allow)
		r = check_types("fs-allow", allow, true, err);
	if (r < 0)
		return r;
	if (type)
		buf_fmt(&b, "fs-type %s\n", type);
	if (allow)
		buf_fmt(&b, "fs-allow %s\n", allow);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (args_has(a, numbers[i]))
			buf_fmt(&b, "%s %" PRIu64 "\n", numbers[i], args_number(a, numbers[i], 0));
	*ret = NULL;
	if (!b.len && buf_ok(&b) == 0)
		return 0;
	*ret = buf_cstr(&b) ? strdup(buf_cstr(&b)) : NULL;
	return *ret ? 0 : err_set(err, -ENOMEM, "options for mounts");
}
