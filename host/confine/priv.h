/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CONFINE_PRIV_H
#define HOST_CONFINE_PRIV_H

#include "common/err.h"

/** confine_calls() - the filter of commands and sessions, for all threads. Return: 0; negative errno. */
int confine_calls(struct err *err);

#endif
