/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int code, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;
	int n;

	if (!e)
		return code;
	e->code = code;
	va_start(ap, fmt);
	n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(e->text) && code < 0 && code > -4096) {
		char buf[128];

		(void)snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %s",
			       strerror_r(-code, buf, sizeof(buf)));
	}
	errno = saved;
	return code;
}

int err_text(struct err *e, int code, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	if (!e)
		return code;
	e->code = code;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	errno = saved;
	return code;
}

int err_ctx(struct err *e, int code, const char *fmt, ...)
{
	int saved = errno;
	char old[ERR_TEXT_MAX];
	va_list ap;
	int n;

	if (!e)
		return code;
	memcpy(old, e->text, sizeof(old));
	va_start(ap, fmt);
	n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(e->text))
		(void)snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %.*s",
			       (int)(sizeof(e->text) - (size_t)n), old);
	if (!e->code)
		e->code = code;
	errno = saved;
	return code;
}

const char *err_name(int code)
{
	const char *name = strerrorname_np(code < 0 ? -code : code);

	return name ? name : "EIO";
}

int err_from_name(const char *name, size_t len)
{
	for (int i = 1; i < 134; i++) {
		const char *s = strerrorname_np(i);

		if (s && strlen(s) == len && !memcmp(s, name, len))
			return -i;
	}
	return -EIO;
}
