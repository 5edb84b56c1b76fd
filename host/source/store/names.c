/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/source/store/names.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/cleanup.h"

static bool is_alnum(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

int names_check_id(const char *s, size_t len)
{
	if (!len || len > NAMES_ID_MAX || (!is_alnum(s[0]) && s[0] != '_'))
		return -EINVAL;
	for (size_t i = 1; i < len; i++)
		if (!is_alnum(s[i]) && s[i] != '_' && s[i] != '.' && s[i] != '-')
			return -EINVAL;
	return 0;
}

int names_check_type(const char *s)
{
	return strcmp(s, "vm") && strcmp(s, "ct") && strcmp(s, "host") ? -EINVAL : 0;
}

static bool has_suffix(const char *s, size_t len, const char *suffix)
{
	size_t n = strlen(suffix);

	return len > n && !memcmp(s + len - n, suffix, n);
}

int names_file_kind(const char *s, size_t len)
{
	if (names_check_id(s, len) < 0)
		return -EINVAL;
	if (has_suffix(s, len, ".fidx"))
		return NAMES_FIDX;
	if (has_suffix(s, len, ".didx"))
		return NAMES_DIDX;
	return has_suffix(s, len, ".blob") ? NAMES_BLOB : -EINVAL;
}

int names_stored(const char *user, struct buf *out)
{
	static const char *const map[][2] = {
		{ ".fidx", "" },	{ ".didx", "" },	{ ".blob", "" },	 { ".img", ".fidx" },
		{ ".pxar", ".didx" },	{ ".mpxar", ".didx" },	{ ".ppxar", ".didx" },	 { ".pcat1", ".didx" },
		{ ".conf", ".blob" },	{ ".log", ".blob" },	{ ".json", ".blob" },	 { ".key", ".blob" },
	};
	size_t len = strlen(user);

	for (size_t i = 0; i < sizeof(map) / sizeof(*map); i++) {
		if (!has_suffix(user, len, map[i][0]))
			continue;
		if (names_check_id(user, len) < 0 || len + strlen(map[i][1]) > NAMES_ID_MAX)
			return -EINVAL;
		buf_str(out, user);
		buf_str(out, map[i][1]);
		return buf_ok(out);
	}
	return -EINVAL;
}

/* Two or four digits. */
static int digits(const char *s, int n, int *ret)
{
	int v = 0;

	for (int i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -EINVAL;
		v = v * 10 + s[i] - '0';
	}
	*ret = v;
	return 0;
}

static int parse_offset(const char *s, size_t len, int *ret_seconds)
{
	int h, m;

	*ret_seconds = 0;
	if (len == 1)
		return *s == 'Z' ? 0 : -EINVAL;
	if ((s[0] != '+' && s[0] != '-') || s[3] != ':' || digits(s + 1, 2, &h) < 0 || digits(s + 4, 2, &m) < 0)
		return -EINVAL;
	if (h > 23 || m > 59)
		return -EINVAL;
	*ret_seconds = (h * 60 + m) * (s[0] == '-' ? -60 : 60);
	return 0;
}

int names_parse_time(const char *s, size_t len, int64_t *ret)
{
	struct tm tm = { 0 }, back;
	int offset;
	time_t t;

	if (len != 20 && len != 25)
		return -EINVAL;
	if (digits(s, 4, &tm.tm_year) < 0 || s[4] != '-' || digits(s + 5, 2, &tm.tm_mon) < 0 || s[7] != '-' ||
	    digits(s + 8, 2, &tm.tm_mday) < 0 || s[10] != 'T' || digits(s + 11, 2, &tm.tm_hour) < 0 || s[13] != ':' ||
	    digits(s + 14, 2, &tm.tm_min) < 0 || s[16] != ':' || digits(s + 17, 2, &tm.tm_sec) < 0)
		return -EINVAL;
	if (parse_offset(s + 19, len - 19, &offset) < 0)
		return -EINVAL;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	back = tm;
	t = timegm(&back);	/* moves days that do not exist to ones that do */
	if (back.tm_mon != tm.tm_mon || back.tm_mday != tm.tm_mday || back.tm_hour != tm.tm_hour ||
	    back.tm_min != tm.tm_min || back.tm_sec != tm.tm_sec)
		return -EINVAL;
	*ret = (int64_t)t - offset;
	return 0;
}

int names_format_time(int64_t t, char ret[static NAMES_TIME_TEXT])
{
	time_t tt = (time_t)t;
	struct tm tm;

	if (!gmtime_r(&tt, &tm) || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900)
		return -ERANGE;
	(void)snprintf(ret, NAMES_TIME_TEXT, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned int)(tm.tm_year + 1900) % 10000,
		       (unsigned int)(tm.tm_mon + 1) % 100, (unsigned int)tm.tm_mday % 100, (unsigned int)tm.tm_hour % 100,
		       (unsigned int)tm.tm_min % 100, (unsigned int)tm.tm_sec % 100);
	return 0;
}

/* "TYPE/ID" in the first @len bytes. */
static int parse_group(const char *s, size_t len, struct snapshot_name *ret)
{
	const char *slash = memchr(s, '/', len);
	const size_t type_len = slash ? (size_t)(slash - s) : len, id_len = slash ? len - type_len - 1 : 0;
	struct snapshot_name n = { .type = "" };

	if (!slash || type_len >= sizeof(n.type) || names_check_id(slash + 1, id_len) < 0)
		return -EINVAL;
	memcpy(n.type, s, type_len);
	memcpy(n.id, slash + 1, id_len);
	if (names_check_type(n.type) < 0)
		return -EINVAL;
	*ret = n;
	return 0;
}

int names_parse_group(const char *s, struct snapshot_name *ret)
{
	return parse_group(s, strlen(s), ret);
}

int names_parse_snapshot(const char *s, struct snapshot_name *ret)
{
	const char *time = strrchr(s, '/');
	struct snapshot_name n;

	if (!time || strlen(time + 1) != NAMES_TIME_TEXT - 1 || parse_group(s, (size_t)(time - s), &n) < 0 ||
	    names_parse_time(time + 1, NAMES_TIME_TEXT - 1, &n.time) < 0)
		return -EINVAL;
	*ret = n;
	return 0;
}

char *names_format_snapshot(const struct snapshot_name *n, char ret[static NAMES_SNAPSHOT_TEXT])
{
	char time[NAMES_TIME_TEXT] = "?";

	(void)names_format_time(n->time, time);
	(void)snprintf(ret, NAMES_SNAPSHOT_TEXT, "%s/%s/%s", n->type, n->id, time);
	return ret;
}

int names_ns_path(const char *ns, struct buf *out)
{
	unsigned int depth = 0;

	if (strlen(ns) > NAMES_NS_MAX)
		return -EINVAL;
	if (!*ns) {
		buf_str(out, ".");
		return buf_ok(out);
	}
	for (;;) {
		size_t n = strcspn(ns, "/");

		if (names_check_id(ns, n) < 0 || ++depth > NAMES_NS_DEPTH_MAX)
			return -EINVAL;
		buf_str(out, depth > 1 ? "/ns/" : "ns/");
		buf_add(out, ns, n);
		if (!ns[n])
			return buf_ok(out);
		ns += n + 1;
	}
}

int names_check_ns(const char *ns)
{
	CLEANUP_BUF struct buf path = BUF_INIT;

	return names_ns_path(ns, &path) == -EINVAL ? -EINVAL : 0;
}

static bool is_number(const char *s)
{
	return s[strspn(s, "0123456789")] == 0;
}

int names_compare_ids(const char *a, const char *b)
{
	const char *pa = a, *pb = b;

	if (is_number(a) != is_number(b))
		return is_number(a) ? -1 : 1;
	if (!is_number(a))
		return strcmp(a, b);
	while (*pa == '0')
		pa++;
	while (*pb == '0')
		pb++;
	if (strlen(pa) != strlen(pb))
		return strlen(pa) < strlen(pb) ? -1 : 1;
	return strcmp(pa, pb) ? strcmp(pa, pb) : strcmp(a, b);
}

void names_escape_unit(const char *path, struct buf *out)
{
	bool first = true;

	while (*path == '/')
		path++;
	for (; *path; path++, first = false) {
		if (*path == '/')
			buf_u8(out, '-');
		else if (is_alnum(*path) || *path == '_' || (*path == '.' && !first))
			buf_u8(out, (uint8_t)*path);
		else
			buf_fmt(out, "\\x%02x", (unsigned char)*path);
	}
}
