/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_AUTH_H
#define AGENT_AUTH_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/agent.h"

#define AUTH_DELAY_S 3		/* before a wrong ticket is answered */

/** auth_check() - are these bytes the ticket? The time taken does not depend on them. */
bool auth_check(const struct agent *a, const char *given, size_t len);

#endif
