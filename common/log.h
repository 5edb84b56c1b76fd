/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

/*
 * The one log sink. Modules return errors and log only at debug; the command and
 * the agent's main report each failure once. Never log keys or tickets.
 */

#include <stddef.h>

enum log_level { LOG_LEVEL_ERR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/** log_open() - where lines go (borrowed descriptor) and what stands before each ("pluck: "). Default: 2, "". */
void log_open(int fd, const char *prefix);
void log_set_level(enum log_level level);

/** log_parse_level() - "err", "warn", "info" or "debug". Return: 0; -EINVAL. */
int log_parse_level(const char *name, enum log_level *ret);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_err(...) log_write(LOG_LEVEL_ERR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/**
 * log_quote() - foreign bytes made safe for a line of text
 * @ret: gets 'text' with every byte that is not printable UTF-8 (controls, DEL, C1, bidi
 *       marks, bad sequences) as \xHH, cut with "..." when longer than @room
 * Return: @ret.
 */
char *log_quote(const void *bytes, size_t len, char *ret, size_t room);

#endif
