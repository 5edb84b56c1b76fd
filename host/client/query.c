/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers that are one bounded JSON object: {"data": ...}. */
#include <errno.h>

#include "host/client/client_int.h"

#define ANSWER_MAX ((size_t)4 << 20)
#define ANSWER_VALUES_MAX 200000	/* a tree takes up to 300 bytes a value */

static int read_answer(struct client *c, struct buf *ret, struct err *err)
{
	const char *p;
	size_t n;
	int r;

	while ((r = client_next(c, &p, &n, err)) > 0) {
		buf_add(ret, p, n);
		if (buf_ok(ret) < 0) {
			client_abandon(c);
			return err_text(err, -EPROTO, "the VM's answer is longer than %zu bytes", ANSWER_MAX);
		}
	}
	return r;
}

/* At most so many values: what begins or parts them, within texts too. */
static size_t count_values(const struct buf *b)
{
	size_t nr = 0;

	for (size_t i = 0; i < b->len; i++)
		nr += b->data[i] == ',' || b->data[i] == '[' || b->data[i] == '{';
	return nr;
}

static int get_data(struct client *c, const struct buf *target, json_t **ret, struct err *err)
{
	CLEANUP_BUF struct buf b = { .limit = ANSWER_MAX };
	json_t *o, *data;
	int r;

	r = client_begin(c, target, false, err);
	if (r == 0)
		r = read_answer(c, &b, err);
	if (r < 0)
		return r;
	if (count_values(&b) > ANSWER_VALUES_MAX)
		return err_text(err, -EPROTO, "the VM's answer has more than %d values", ANSWER_VALUES_MAX);
	o = json_loadb(b.len ? (const char *)b.data : "", b.len, JSON_REJECT_DUPLICATES, NULL);
	data = json_incref(json_object_get(o, "data"));
	json_decref(o);
	if (!data)
		return err_text(err, -EPROTO, "the VM's answer is malformed");
	*ret = data;
	return 0;
}

int client_stat(struct client *c, const void *path, size_t path_len, json_t **ret, struct err *err)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	json_t *o;
	int r;

	client_target(&b, "stat", path, path_len);
	r = get_data(c, &b, &o, err);
	if (r < 0)
		return r;
	if (!json_is_object(o)) {
		json_decref(o);
		return err_text(err, -EPROTO, "the VM's answer is malformed");
	}
	*ret = o;
	return 0;
}

int client_disks(struct client *c, json_t **ret, struct err *err)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	json_t *o;
	int r;

	buf_str(&b, "disks");
	r = get_data(c, &b, &o, err);
	if (r < 0)
		return r;
	if (!json_is_array(o)) {
		json_decref(o);
		return err_text(err, -EPROTO, "the VM's answer is malformed");
	}
	*ret = o;
	return 0;
}
