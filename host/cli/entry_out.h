/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLI_ENTRY_OUT_H
#define HOST_CLI_ENTRY_OUT_H

#include "common/jsonw.h"
#include "host/client/client.h"

/** entry_name() - last component of the entry's path; of the requested path when that is empty. Borrowed. */
void entry_name(const struct client_entry *e, const char *base, size_t base_len, const char **ret, size_t *ret_len);

/** entry_is_damaged() - has it an error that tells of damage? */
bool entry_is_damaged(const struct client_entry *e);

/** entry_write_json() - one entry with all that is known; @base is the requested path. */
void entry_write_json(struct jsonw *w, const struct client_entry *e, const char *base, size_t base_len);

/** entry_write_fields() - the same without the braces. */
void entry_write_fields(struct jsonw *w, const struct client_entry *e, const char *base, size_t base_len);

#endif
