/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_WORK_H
#define AGENT_WORK_H

/* Telling the host what is in work, and refusing what ended an earlier VM (common/wire.h). */

#include "agent/agent.h"
#include "common/err.h"

#define WORK_LEFT_OUT "left out: a VM ended while it worked on this"

/**
 * work_begin() - this worker is about to touch a volume
 * @volume: bucket and component ("part/1"); "" is the disk as a whole
 * The host knows of it when this returns. It stays in work until work_end(), or until the worker ends.
 * Return: 0; -EUCLEAN it was in work when an earlier VM ended.
 */
int work_begin(struct agent *a, const struct agent_disk *d, const char *volume, struct err *err);

/** work_end() - done with what work_begin() began last. */
void work_end(struct agent *a);

/** work_is_left_out() - was the volume, or its disk as a whole, in work when an earlier VM ended? */
bool work_is_left_out(const struct agent *a, const struct agent_disk *d, const char *volume);

/** work_parse_left_out() - text of WIRE_FWCFG_LEFT_OUT. Return: 0; -EBADMSG. */
int work_parse_left_out(struct agent *a, const char *text, size_t len);

#endif
