/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_LIB_SHELL_H
#define TESTS_LIB_SHELL_H

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/** shell() - run a command line. Return: of system(3); -1 when it is too long. */
__attribute__((format(printf, 1, 2))) static inline int shell(const char *fmt, ...)
{
	char cmd[4 * PATH_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	return n >= 0 && n < (int)sizeof(cmd) ? system(cmd) : -1;
}

#endif
