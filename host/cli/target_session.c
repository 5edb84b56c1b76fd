/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The session of a target: a client of its agent, and what the session knows of a VM or disk that failed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/path.h"
#include "host/cli/archive.h"
#include "host/cli/target.h"
#include "host/confine/confine.h"

static bool confined;	/* this process, for good */
static uint32_t last_vm;	/* that this process was connected to */

int target_confine(const struct target *t, struct err *err)
{
	int r;

	if (confined)
		return 0;
	r = confine_command(t->out_dir ? *t->out_dir : -1, err);
	confined = r == 0;
	return r;
}

int target_settle(const struct target *t, bool vm, struct err *err)
{
	struct client *c = NULL;
	int r;

	if (confined || !vm)
		return target_confine(t, err);
	r = target_connect(t, &c, NULL, err);
	client_free(c);
	return r;
}

/* A session that runs keeps what it was started with: a weaker jail than was asked for is refused, the rest is told. */
static int check_session(const struct target *t, const struct session_conn *conn, struct err *err)
{
	const struct session_spec *s = &t->spec;
	static bool told;
	uint32_t idle = s->idle_timeout_s == SESSION_IDLE_NONE ? 0 : s->idle_timeout_s;

	if (t->strict_jail && conn->reduced_jail)
		return err_text(err, -EHOSTDOWN, "the session that runs has the reduced jail: end it with 'pluck stop' first");
	if (told)
		return 0;
	told = true;
	if (s->reduced_jail && !conn->reduced_jail)
		log_warn("the session that runs keeps its strict jail");
	if (s->memory_mib && s->memory_mib != conn->memory_mib)
		log_warn("the session that runs keeps its memory of %u MiB: end it with 'pluck stop' first for another size",
			 conn->memory_mib);
	if (s->idle_timeout_s && idle != conn->idle_timeout_s)
		log_warn("the session that runs keeps its idle time-out of %u s", conn->idle_timeout_s);
	if (s->accel == SESSION_ACCEL_KVM && !conn->kvm)
		log_warn("the VM runs without KVM");
	if (s->accel == SESSION_ACCEL_TCG && conn->kvm)
		log_warn("the session that runs keeps KVM");
	return 0;
}

int target_why(const struct target *t, int code, struct err *err)
{
	struct err why = ERR_INIT;

	if (code != -ENODATA && code != -EPROTO && code != -ECONNRESET && code != -ETIMEDOUT && code != -EBADMSG)
		return code;
	if (!t->nr_disks || session_why(&t->spec, last_vm, &why) == 0)
		return code;
	*err = why;
	return why.code;
}

bool target_ran_out(const struct target *t, struct err *err)
{
	return session_why(&t->spec, last_vm, err) < 0;
}

int target_connect(const struct target *t, struct client **ret, int *ret_fd, struct err *err)
{
	struct session_spec spec = t->spec;
	struct session_conn conn;
	int r;

	spec.no_start = confined;
	if (spec.reduced_jail && !confined)
		log_warn("the jail is reduced: QEMU has no namespaces of its own");
	r = session_connect(&spec, cli_phase, NULL, &conn, err);
	cli_progress_end();
	if (r < 0)
		return r;
	last_vm = conn.vm;
	r = check_session(t, &conn, err);
	if (r == 0)
		r = target_confine(t, err);
	if (r < 0) {
		(void)close(conn.fd);
		return r;
	}
	*ret = client_new(conn.fd, conn.ticket);
	if (ret_fd)
		*ret_fd = conn.fd;
	explicit_bzero(conn.ticket, sizeof(conn.ticket));
	return *ret ? 0 : err_set(err, -ENOMEM, "connection");
}

/* ARCHIVE/raw, ARCHIVE/part/N */
static size_t volume_len(const char *path, size_t len)
{
	const char *p = path, *name;
	size_t left = len, n, want = 2;

	for (size_t i = 0; i < want && path_next(&p, &left, &name, &n); i++) {
		if (i == 1 && n == 4 && !memcmp(name, "part", 4))
			want = 3;
		len = (size_t)(name + n - path);
	}
	return len;
}

/* Is it new to @told? */
static bool is_new(struct buf *told, const char *volume, size_t len)
{
	const char *p = (const char *)told->data;

	for (size_t left = told->len, n; left; p += n, left -= n) {
		n = strlen(p) + 1;
		if (n == len + 1 && !memcmp(p, volume, len))
			return false;
	}
	buf_add(told, volume, len);
	buf_u8(told, 0);
	return true;
}

const char *target_tell_note(const struct client *c, const struct target_path *path, size_t *ret_len)
{
	static struct buf told;		/* volumes, each with a NUL behind it */
	const char *volume = (const char *)path->bytes.data, *note = client_note(c);
	const size_t len = volume_len(volume, path->bytes.len);
	char quoted[600];

	if (ret_len)
		*ret_len = len;
	if (!note || !is_new(&told, volume, len))
		return NULL;
	cli_error("'%s': %s", log_quote(volume, len, quoted, sizeof(quoted)), note);
	return note;
}

int target_stat(const struct target *t, const struct target_path *p, json_t **ret, struct err *err)
{
	struct client *c = NULL;
	const char *inner;
	size_t len;
	int r;

	if (p->archive) {
		inner = target_inner(p, &len);
		r = target_confine(t, err);
		return r < 0 ? r : archive_stat(t->snapshot, p->archive, inner, len, ret, err);
	}
	r = target_connect(t, &c, NULL, err);
	if (r == 0)
		r = target_why(t, client_stat(c, p->bytes.data, p->bytes.len, ret, err), err);
	client_free(c);
	return r;
}

/* The first ones, then how much more there is. */
static void tell_ranges(json_t *all)
{
	const json_t *list = json_object_get(all, "ranges");
	json_int_t nr = json_integer_value(json_object_get(all, "unlisted"));
	json_int_t bytes = json_integer_value(json_object_get(all, "unlisted-bytes"));
	const bool uncounted = json_is_true(json_object_get(all, "uncounted"));
	json_t *o;
	size_t i;

	json_array_foreach((json_t *)list, i, o) {
		const char *disk = "?", *why = "?";
		json_int_t off = 0, len = 0;

		(void)json_unpack(o, "{s?s,s?I,s?I,s?s}", "disk", &disk, "offset", &off, "length", &len, "error", &why);
		if (i < CLI_NOTES_MAX) {
			cli_error("disk '%s': %" JSON_INTEGER_FORMAT " bytes at %" JSON_INTEGER_FORMAT " cannot be read: %s", disk, len, off,
				  why);
			continue;
		}
		nr++;
		bytes += len;
	}
	if (nr || uncounted)
		cli_error("and %s%" JSON_INTEGER_FORMAT " more range%s of %" JSON_INTEGER_FORMAT " bytes that cannot be read",
			  uncounted ? "at least " : "", nr, nr == 1 ? "" : "s", bytes);
}

int target_report_damage(const struct target *t, char **ret_json)
{
	CLEANUP_FREE char *text = NULL;
	struct err err = ERR_INIT;
	json_t *all;
	int r = session_damage(&t->spec, &text, &err);

	if (r < 0)
		cli_error("what of the disks could not be read is not known: %s", err.text);
	if (r <= 0)
		return 0;
	all = json_loads(text, 0, NULL);
	tell_ranges(all);
	json_decref(all);
	if (ret_json)
		*ret_json = TAKE_PTR(text);
	return r;
}

int target_sessions(json_t **ret, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	int r = session_status_json(&text, err);

	if (r < 0)
		return r;
	*ret = json_loads(text, 0, NULL);
	return json_is_object(*ret) ? 0 : err_text(err, -EBADMSG, "state of the sessions");
}
