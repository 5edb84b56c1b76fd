/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_INIT_H
#define AGENT_INIT_H

/* Duties of PID 1. */

#include "agent/agent.h"
#include "common/err.h"

/** init_setup() - mount /proc, /sys, /dev and what else the agent needs; stdio to the console. */
int init_setup(struct err *err);

/** init_read_fw_cfg() - ticket and disk names that the host gave. */
int init_read_fw_cfg(struct agent *a, struct err *err);

/** init_parse_watchdog() - text of WIRE_FWCFG_WATCHDOG: 1 to 9 digits, not 0. Return: 0; -EBADMSG. */
int init_parse_watchdog(struct agent *a, const char *text, size_t len);

/** init_parse_disks() - lines "NNNN NAME\n" in rising order of numbers. Return: 0; -EBADMSG. */
int init_parse_disks(struct agent *a, const char *text, size_t len);

/** init_parse_mount() - lines of WIRE_FWCFG_MOUNT. Return: 0; -EBADMSG. */
int init_parse_mount(struct agent_mount *m, const char *text, size_t len);

/** init_poweroff() - end the VM; @reason goes to the console. */
void init_poweroff(const char *reason) __attribute__((noreturn));

#endif
