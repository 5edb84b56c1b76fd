/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/auth.h"

bool auth_check(const struct agent *a, const char *given, size_t len)
{
	volatile unsigned char diff = 0;

	if (len != WIRE_TICKET_HEX)
		return false;
	for (size_t i = 0; i < WIRE_TICKET_HEX; i++)
		diff = (unsigned char)(diff | (given[i] ^ a->ticket[i]));
	return !diff;
}
