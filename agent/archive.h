/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_ARCHIVE_H
#define AGENT_ARCHIVE_H

#include "agent/request.h"
#include "agent/resolve.h"

/**
 * archive_send() - an item and what is beneath it as a pxar archive
 * @name: what the archive's only member is called
 * The stream has begun. Return: 0 when the archive is whole; negative errno with q->err set.
 */
int archive_send(struct request *q, struct item *i, const char *name);

#endif
