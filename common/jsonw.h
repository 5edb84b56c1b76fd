/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_JSONW_H
#define COMMON_JSONW_H

/*
 * Streaming JSON writer: no tree, constant memory, integers of any size. (The agent writes one object
 * an entry, a million times; reading JSON is jansson's.) Strings must be valid UTF-8; bad sequences
 * become U+FFFD. Commas are the writer's concern. Failures show in buf_ok() of the buffer.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

struct jsonw {
	struct buf *out;
	bool pretty;		/* two spaces an indent level, line feeds */
	bool comma;		/* the next value needs one */
	bool after_key;		/* the next value stands on its key's line */
	unsigned int depth;
};

#define JSONW(b) ((struct jsonw){ .out = (b) })

void jsonw_object_begin(struct jsonw *w);
void jsonw_object_end(struct jsonw *w);
void jsonw_array_begin(struct jsonw *w);
void jsonw_array_end(struct jsonw *w);
void jsonw_key(struct jsonw *w, const char *key);
void jsonw_string(struct jsonw *w, const void *p, size_t len);
void jsonw_b64(struct jsonw *w, const void *p, size_t len);
void jsonw_u64(struct jsonw *w, uint64_t v);
void jsonw_i64(struct jsonw *w, int64_t v);
/** jsonw_ns() - sec * 10^9 + nsec as one exact integer, also where it does not fit 64 bits. */
void jsonw_ns(struct jsonw *w, int64_t sec, uint32_t nsec);
void jsonw_bool(struct jsonw *w, bool v);
void jsonw_null(struct jsonw *w);
/** jsonw_raw() - a value that is JSON already. */
void jsonw_raw(struct jsonw *w, const char *json);

/* key and value in one */
void jsonw_key_string(struct jsonw *w, const char *key, const char *value);
void jsonw_key_bytes(struct jsonw *w, const char *key, const void *p, size_t len);
void jsonw_key_b64(struct jsonw *w, const char *key, const void *p, size_t len);
void jsonw_key_u64(struct jsonw *w, const char *key, uint64_t v);
void jsonw_key_i64(struct jsonw *w, const char *key, int64_t v);
void jsonw_key_bool(struct jsonw *w, const char *key, bool v);

#endif
