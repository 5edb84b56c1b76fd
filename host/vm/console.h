/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_VM_CONSOLE_H
#define HOST_VM_CONSOLE_H

/* The last bytes of a stream that nobody interprets: a guest's serial line, a child's stderr. */

#include <stddef.h>
#include <stdint.h>

struct console;

/** console_new() - keeps the last @room bytes of what is read from @fd (taken over in every case, made non-blocking). NULL without memory. */
struct console *console_new(int fd, size_t room);
void console_free(struct console *c);
int console_fd(const struct console *c);

/** console_read() - take what is there, at most 64 KiB. Return: 1 more may come; 0 at the end. */
int console_read(struct console *c);

/** console_add() - the same with bytes in hand. */
void console_add(struct console *c, const void *p, size_t n);

/** console_total() - bytes that ever came. */
uint64_t console_total(const struct console *c);

/**
 * console_tail() - the last whole lines
 * @ret: at most @room bytes with the NUL; lines end with a line feed, all else that is not printable is escaped
 * Return: length without the NUL.
 */
size_t console_tail(const struct console *c, char *ret, size_t room);

/**
 * console_signs() - the lines that tell of a kernel's end: its panic, and what led to it; escaped like those of console_tail()
 * @ret: at most @room bytes with the NUL
 * Return: length without the NUL; 0 if there is none.
 */
size_t console_signs(const struct console *c, char *ret, size_t room);

static inline void console_freep(struct console **c)
{
	console_free(*c);
}

#endif
