/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/utf8.h"

static struct {
	int fd;
	enum log_level level;
	char prefix[32];
} log_sink = { .fd = STDERR_FILENO, .level = LOG_LEVEL_INFO };

static const char *const level_names[] = { "err", "warn", "info", "debug" };

void log_open(int fd, const char *prefix)
{
	log_sink.fd = fd;
	(void)snprintf(log_sink.prefix, sizeof(log_sink.prefix), "%s", prefix);
}

void log_set_level(enum log_level level)
{
	log_sink.level = level;
}

int log_parse_level(const char *name, enum log_level *ret)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(*level_names); i++) {
		if (!strcmp(name, level_names[i])) {
			*ret = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	int saved = errno;
	char line[2048];
	va_list ap;
	size_t used;
	int n;

	if (level > log_sink.level)
		return;
	n = snprintf(line, sizeof(line), "%s%s", log_sink.prefix,
		     level == LOG_LEVEL_WARN ? "warning: " : "");
	used = (size_t)n;
	va_start(ap, fmt);
	n = vsnprintf(line + used, sizeof(line) - used - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	used = (size_t)n < sizeof(line) - used - 1 ? used + (size_t)n : sizeof(line) - 2;
	line[used++] = '\n';
	(void)!write(log_sink.fd, line, used);
	errno = saved;
}

char *log_quote(const void *bytes, size_t len, char *ret, size_t room)
{
	const uint8_t *p = bytes;
	size_t at = 0;

	while (len && at + 8 < room) {
		uint32_t cp;
		size_t n = utf8_decode(p, len, &cp);

		if (n && utf8_printable(cp) && cp != '\\') {
			memcpy(ret + at, p, n);
			at += n;
		} else if (cp == '\\' && n) {
			at += (size_t)sprintf(ret + at, "\\\\");
		} else {
			n = 1;
			at += (size_t)sprintf(ret + at, "\\x%02x", *p);
		}
		p += n;
		len -= n;
	}
	if (len && room >= 4)
		at += (size_t)snprintf(ret + at, room - at, "...");
	ret[at] = 0;
	return ret;
}
