/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_HEX_H
#define COMMON_HEX_H

/** hex_digit() - Return: the value of a hex digit of any case; -1 for any other character. */
static inline int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

#endif
