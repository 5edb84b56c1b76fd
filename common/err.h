/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

#include <stddef.h>

/*
 * Errors are negative errno values; their text travels in a buffer of the caller.
 * One meaning each: -EBADMSG malformed bytes, -EPROTO a peer broke the protocol,
 * -ERANGE past the end, -ENODATA early end of data.
 */

#define ERR_TEXT_MAX 1024

struct err {
	int code;		/* negative errno of the first err_set(), 0 if none */
	char text[ERR_TEXT_MAX];	/* "what: what: reason", NUL-terminated */
};

#define ERR_INIT ((struct err){ 0 })

/**
 * err_set() - record a failure where the fact is known
 * @e:    may be NULL; what it held is replaced
 * @code: negative errno; values from -1 to -4095 get ": <strerror>" appended
 * @fmt:  what was tried ("open '%s'")
 * Return: @code. Allocates nothing. errno is kept.
 */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/**
 * err_text() - record a failure whose text is complete
 * Like err_set(), but without the text of errno.
 */
int err_text(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/**
 * err_ctx() - put "context: " in front of the text, on the way up
 * @code: what the function that failed returned
 * Return: @code.
 */
int err_ctx(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/**
 * err_name() - symbolic name of an errno ("ENOENT"), as used on the wire
 * @code: positive or negative errno
 * Return: static string; "EIO" for numbers without a name.
 */
const char *err_name(int code);

/**
 * err_from_name() - errno of a symbolic name
 * @name: bytes, not NUL-terminated; @len of them
 * Return: the negative errno; -EIO if the name is unknown.
 */
int err_from_name(const char *name, size_t len);

#endif
