/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/session/session.h"

/* Questions to sessions that run; none of these starts one. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "host/session/control.h"
#include "host/session/holder.h"
#include "host/session/spec.h"
#include "host/session/state.h"

#define ADMIN_ANSWER_MS 5000
#define ADMIN_GONE_MS 20000
#define ADMIN_TERM_MS 10000
#define ADMIN_WHY_MS 1500
#define ADMIN_WHY_STEP_MS 50

/* Return: code of the answer (0 OK), @ret_payload what came with it; -ENOENT there is no session; negative errno. */
static int ask(int dir, const char *hash, enum control_op op, uint32_t number, char **ret_payload)
{
	struct control_header h;
	CLEANUP_CLOSE int fd = -1;
	int r;

	r = state_alive(dir, hash);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	fd = state_connect(dir, hash);
	if (fd < 0)
		return fd;
	r = control_send_question(fd, op, number);
	if (r == 0)
		r = control_recv(fd, ADMIN_ANSWER_MS, &h, ret_payload);
	if (r < 0)
		return r;
	return h.kind == CONTROL_PROGRESS ? -EPROTO : h.code;
}

static int ask_spec(const struct session_spec *spec, enum control_op op, uint32_t number, char **ret_payload,
		    struct err *err)
{
	char hash[STATE_HASH_LEN + 1];
	CLEANUP_CLOSE int dir = spec_open_state(spec, hash, err);

	return dir < 0 ? dir : ask(dir, hash, op, number, ret_payload);
}

/* One answer from range @first on. Return: 1; 0 there is no session; negative errno. */
static int damage_page(const struct session_spec *spec, size_t first, json_t **ret, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	int r = ask_spec(spec, CONTROL_DAMAGE, (uint32_t)first, &text, err);

	if (r == -ENOENT || r == -ECONNREFUSED)
		return 0;
	if (r < 0)
		return err_set(err, r, "ask the session for damage");
	*ret = json_loads(text, 0, NULL);
	return json_is_array(json_object_get(*ret, "ranges")) ? 1 : err_set(err, -EPROTO, "the session's answer");
}

int session_damage(const struct session_spec *spec, char **ret_json, struct err *err)
{
	json_t *all = NULL, *ranges;
	int r = damage_page(spec, 0, &all, err);

	ranges = json_object_get(all, "ranges");
	for (size_t had = 0, n = json_array_size(ranges); r > 0 && n > had && n <= INT_MAX; n = json_array_size(ranges)) {
		json_t *more = NULL;

		had = n;
		/* Ranges come behind those that are there; counts are those of the last answer. */
		r = damage_page(spec, n, &more, err);
		if (r > 0 && json_array_extend(ranges, json_object_get(more, "ranges")) == 0 && json_object_del(more, "ranges") == 0)
			r = json_object_update(all, more) == 0 ? 1 : -ENOMEM;
		json_decref(more);
	}
	if (r > 0) {
		size_t nr = json_array_size(ranges) + (size_t)json_integer_value(json_object_get(all, "unlisted"));

		(void)json_object_del(all, "listed");
		r = nr > INT_MAX ? INT_MAX : (int)nr;
		*ret_json = json_dumps(all, JSON_COMPACT);
		if (!*ret_json)
			r = err_set(err, -ENOMEM, "damage");
	}
	json_decref(all);
	return r;
}

int session_why(const struct session_spec *spec, uint32_t vm, struct err *err)
{
	const struct timespec nap = { .tv_nsec = ADMIN_WHY_STEP_MS * 1000000 };

	/* A guest's streams break off a moment before its QEMU ends, which the session waits for. */
	for (int waited = 0; waited < ADMIN_WHY_MS; waited += ADMIN_WHY_STEP_MS) {
		CLEANUP_FREE char *text = NULL;
		int r = ask_spec(spec, CONTROL_WHY, vm, &text, NULL);

		if (r < 0)
			return text ? err_text(err, r, "%s", text) : 0;
		(void)nanosleep(&nap, NULL);
	}
	return 0;
}

/* The name in HASH.live; malloc'ed; NULL if it cannot be read. */
static char *live_name(int dir, const char *file)
{
	CLEANUP_FREE char *text = NULL;
	const char *name;
	char *ret = NULL;
	size_t len;
	json_t *j;

	if (io_read_file(dir, file, STATE_LIVE_MAX, &text, &len) < 0)
		return NULL;
	j = json_loadb(text, len, 0, NULL);
	name = json_string_value(json_object_get(j, "name"));
	if (name)
		ret = strdup(name);
	json_decref(j);
	return ret;
}

/* Calls @fn for each living session; ends when it returns other than 0. */
typedef int live_fn(void *arg, int dir, const char *hash, const char *name);

static int each_live(live_fn *fn, void *arg, struct err *err)
{
	CLEANUP_CLOSE int dir = -1;
	CLEANUP_DIR DIR *d = NULL;
	struct dirent *de;
	int r = 0, fd;

	dir = state_open_dir(err);
	if (dir < 0)
		return dir;
	fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		r = err_set(err, -errno, "state directory");
		if (fd >= 0)
			(void)close(fd);
		return r;
	}
	while (r == 0 && (de = readdir(d))) {
		CLEANUP_FREE char *name = NULL;
		char hash[STATE_HASH_LEN + 1];

		if (!state_is_hash(de->d_name, ".live"))
			continue;
		memcpy(hash, de->d_name, STATE_HASH_LEN);
		hash[STATE_HASH_LEN] = 0;
		if (state_alive(dir, hash) != 1)
			continue;
		name = live_name(dir, de->d_name);
		if (name)
			r = fn(arg, dir, hash, name);
	}
	return r;
}

/* Two sessions have one name when a disk was written to since the first began. Return: malloc'ed; NULL without memory. */
static char *full_name(const char *name, const char *hash)
{
	char *ret;

	return asprintf(&ret, "%s#%.8s", name, hash) < 0 ? NULL : ret;
}

static int add_status(void *arg, int dir, const char *hash, const char *name)
{
	CLEANUP_FREE char *text = NULL, *full = full_name(name, hash);
	json_t *all = arg, *j = NULL;
	int r;

	if (!full)
		return -ENOMEM;
	r = ask(dir, hash, CONTROL_STATUS, 0, &text);
	if (r == -ENOENT)
		return 0;	/* it ended just now */
	if (r == 0)
		j = json_loads(text, 0, NULL);
	if (!json_is_object(j)) {
		struct err e = ERR_INIT;

		json_decref(j);
		(void)err_set(&e, r < 0 ? r : -EPROTO, "the session does not answer");
		j = json_pack("{s:s}", "error", e.text);
	}
	return json_object_set_new(all, json_object_get(all, name) ? full : name, j) < 0 ? -ENOMEM : 0;
}

int session_status_json(char **ret_json, struct err *err)
{
	json_t *all = json_object();
	int r;

	r = all ? each_live(add_status, all, err) : -ENOMEM;
	if (r == 0) {
		*ret_json = json_dumps(all, JSON_COMPACT);
		r = *ret_json ? 0 : err_set(err, -ENOMEM, "status");
	}
	json_decref(all);
	return r;
}

struct stop {
	const char *name;
	unsigned int nr;	/* that had the name and are gone */
	struct err *err;
};

static bool await_gone(int dir, const char *hash, int ms)
{
	const struct timespec nap = { .tv_nsec = 20000000 };

	for (int waited = 0; waited < ms; waited += 20) {
		if (state_alive(dir, hash) != 1)
			return true;
		(void)nanosleep(&nap, NULL);
	}
	return false;
}

/* One that does not understand us, being of another version, or hangs. */
static int stop_by_signal(int dir, const char *hash)
{
	CLEANUP_CLOSE int holder = holder_open(dir, hash);
	int r = holder < 0 ? holder : holder_signal(holder, SIGTERM);

	if (r == 0 && await_gone(dir, hash, ADMIN_TERM_MS))
		return 0;
	if (r == 0)
		r = holder_signal(holder, SIGKILL);
	return await_gone(dir, hash, r == 0 ? ADMIN_TERM_MS : 20) ? 0 : r < 0 ? r : -ETIMEDOUT;
}

static int stop_one(void *arg, int dir, const char *hash, const char *name)
{
	CLEANUP_FREE char *text = NULL, *full = full_name(name, hash);
	struct stop *s = arg;
	int r;

	if (strcmp(name, s->name) != 0 && (!full || strcmp(full, s->name) != 0))
		return 0;
	r = ask(dir, hash, CONTROL_STOP, 0, &text);
	if ((r != 0 && r != -ENOENT && r != -ECONNREFUSED) || !await_gone(dir, hash, ADMIN_GONE_MS)) {
		r = stop_by_signal(dir, hash);
		if (r < 0)
			return err_set(s->err, r, "stop '%s'", name);
	}
	s->nr++;
	return 0;
}

int session_stop(const char *name, struct err *err)
{
	struct stop s = { .name = name, .err = err };
	int r = each_live(stop_one, &s, err);

	if (r == 0 && !s.nr)
		return err_text(err, -ENOENT, "there is no session '%s'", name);
	return r;
}
