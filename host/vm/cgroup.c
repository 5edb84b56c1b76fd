/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/vm/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "host/vm/cgroup_place.h"

#define PREFIX "pluck-"
#define PREFIX_LEN (sizeof(PREFIX) - 1)
#define NAME_HEX 16
#define NAME_LEN (PREFIX_LEN + NAME_HEX)
#define FILE_MAX 65536
#define PIDS_MAX 64			/* processes of our own that are moved */
#define GONE_MS 1000

enum { MEMORY, PIDS, NR_CONTROLLERS };

static const char *const controllers[NR_CONTROLLERS] = { "memory", "pids" };

/* One directory of a VM's group. */
struct group {
	int parent, dir;	/* the second holds the lock */
	char name[NAME_LEN + 1];
};

struct cgroup {
	struct group group[NR_CONTROLLERS];
	size_t nr;
	int version[NR_CONTROLLERS];	/* 0: this limit is not there */
	const struct group *of[NR_CONTROLLERS];
	char text[96];
};

static void find_place(const char *controller, struct cgroup_place *ret)
{
	if (cgroup_place_find(controller, ret) < 0)
		ret->version = 0;
}

/* The directory, unless something else is mounted over it. Return: descriptor; negative errno. */
static int open_place(const struct cgroup_place *p)
{
	CLEANUP_CLOSE int fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs st;

	if (fd < 0 || fstatfs(fd, &st) < 0)
		return -errno;
	if (st.f_type != (p->version == 2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC))
		return -ENOENT;
	return TAKE_FD(fd);
}

static bool is_delegated(const char *dir)
{
	return cgroup_is_delegated(dir, access("/run/systemd/system", F_OK) == 0);
}

static int put(int dir, const char *file, const char *text)
{
	CLEANUP_CLOSE int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return -errno;
	return 0;
}

static int put_number(int dir, const char *file, uint64_t v)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, v);
	return put(dir, file, text);
}

/* The number behind a word of a file; 0. */
static uint64_t get_number(int dir, const char *file, const char *word)
{
	CLEANUP_FREE char *text = NULL;
	const char *at;
	size_t len;

	if (io_read_file(dir, file, FILE_MAX, &text, &len) < 0)
		return 0;
	at = strstr(text, word);
	return at ? strtoull(at + strlen(word), NULL, 10) : 0;
}

static bool is_child(long pid)
{
	CLEANUP_FREE char *text = NULL;
	const char *line;
	char path[64];
	size_t len;
	int parent;

	(void)snprintf(path, sizeof(path), "/proc/%ld/status", pid);
	if (io_read_file(AT_FDCWD, path, FILE_MAX, &text, &len) < 0)
		return false;
	line = strstr(text, "\nPPid:");
	return line && sscanf(line, "\nPPid: %d", &parent) == 1 && parent == getpid();
}

/*
 * Does the process run this program? Of our parent, the session's keeper, and our child, the device process, that cannot be seen by a
 * user: they are not dumpable.
 */
static bool is_ours(long pid)
{
	struct stat self, other;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%ld/exe", pid);
	return pid == getpid() || pid == getppid() || is_child(pid) ||
	       (stat("/proc/self/exe", &self) == 0 && stat(path, &other) == 0 && self.st_dev == other.st_dev &&
		self.st_ino == other.st_ino);
}

/* Moves the processes of our own group into one below it, if all are ours. Return: 0; -EBUSY; negative errno. */
static int make_room(int parent)
{
	CLEANUP_CLOSE int below = -1;
	CLEANUP_FREE char *text = NULL;
	long pids[PIDS_MAX];
	size_t nr = 0, len;
	char *end;
	int r = io_read_file(parent, "cgroup.procs", FILE_MAX, &text, &len);

	for (char *at = text; r == 0 && *at; at = end + (*end == '\n')) {
		const long pid = strtol(at, &end, 10);

		if (end == at || pid <= 0 || nr == PIDS_MAX || !is_ours(pid)) {
			log_debug("control group: process %ld is not ours", pid);
			return -EBUSY;
		}
		pids[nr++] = pid;
	}
	if (r == 0 && mkdirat(parent, CGROUP_OURS, 0755) < 0 && errno != EEXIST)
		r = -errno;
	if (r < 0)
		return r;
	below = openat(parent, CGROUP_OURS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (below < 0)
		return -errno;
	for (size_t i = 0; i < nr; i++) {
		r = put_number(below, "cgroup.procs", (uint64_t)pids[i]);
		if (r < 0 && r != -ESRCH)	/* it has ended */
			return r;
	}
	return 0;
}

/*
 * Version 2: groups below are to have the controllers. Both at once: pids alone would be taken where there are processes, and
 * leave groups that can have none.
 */
static int enable(const struct cgroup_place *p)
{
	static const char words[] = "+memory +pids";
	CLEANUP_CLOSE int parent = -1;
	int r;

	if (!is_delegated(p->dir))
		return -EPERM;
	parent = open_place(p);
	if (parent < 0)
		return parent;
	r = put(parent, "cgroup.subtree_control", words);
	if (r != -EBUSY)
		return r;
	r = make_room(parent);
	return r < 0 ? r : put(parent, "cgroup.subtree_control", words);
}

static bool is_name(const char *name)
{
	return !strncmp(name, PREFIX, PREFIX_LEN) && strspn(name + PREFIX_LEN, "0123456789abcdef") == NAME_HEX &&
	       strlen(name) == NAME_LEN;
}

/* Removes one that nobody holds. */
static void sweep_one(int parent, const char *name)
{
	CLEANUP_CLOSE int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		(void)unlinkat(parent, name, AT_REMOVEDIR);
}

static void sweep(int parent)
{
	int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!d && fd >= 0)
		(void)close(fd);
	while (d && (de = readdir(d)))
		if (is_name(de->d_name))
			sweep_one(parent, de->d_name);
}

/* Makes the directory and takes its lock; another's sweep may come between the two. */
static int make_group(struct group *g)
{
	uint8_t raw[NAME_HEX / 2];

	for (int i = 0; i < 8; i++) {
		CLEANUP_CLOSE int fd = -1;
		struct stat st;

		if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
			return -EIO;
		(void)strcpy(g->name, PREFIX);
		for (size_t k = 0; k < sizeof(raw); k++)
			(void)sprintf(g->name + PREFIX_LEN + 2 * k, "%02x", raw[k]);
		if (mkdirat(g->parent, g->name, 0755) < 0)
			return -errno;
		fd = openat(g->parent, g->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fstatat(g->parent, g->name, &st, 0) == 0) {
			g->dir = TAKE_FD(fd);
			return 0;
		}
	}
	return -EBUSY;
}

static void remove_group(struct group *g)
{
	const struct timespec nap = { .tv_nsec = 2000000 };

	for (int waited = 0; g->dir >= 0 && waited < GONE_MS; waited += 2) {
		if (unlinkat(g->parent, g->name, AT_REMOVEDIR) == 0 || errno != EBUSY)
			break;
		(void)nanosleep(&nap, NULL);
	}
	if (g->dir >= 0)
		(void)close(g->dir);
	if (g->parent >= 0)
		(void)close(g->parent);
}

/* The group for a controller: that of the other one, if both are in one hierarchy. */
static int get_group(struct cgroup *g, int c, const struct cgroup_place *places)
{
	const struct cgroup_place *p = &places[c];	/* version 0: there is none */
	struct group *n = &g->group[g->nr];
	int r;

	if (!p->version)
		return -ENOENT;
	if (p->version == 1 && !is_delegated(p->dir))
		return -EPERM;
	*n = (struct group){ .dir = -1 };
	n->parent = open_place(p);
	if (n->parent < 0)
		return n->parent;
	if (c && g->nr && !strcmp(places[0].dir, p->dir)) {
		(void)close(n->parent);
		g->of[c] = g->of[0];
		return 0;
	}
	sweep(n->parent);
	r = make_group(n);
	if (r < 0) {
		(void)close(n->parent);
		return r;
	}
	g->of[c] = n;
	g->nr++;
	return 0;
}

static int limit_memory(int dir, int version, uint64_t bytes)
{
	int r = put_number(dir, version == 2 ? "memory.max" : "memory.limit_in_bytes", bytes);

	if (r < 0)
		return r;
	/* These are not everywhere: without swap there is nothing to limit. */
	if (version == 2) {
		(void)put(dir, "memory.swap.max", "0");
		(void)put(dir, "memory.oom.group", "1");
	} else {
		(void)put_number(dir, "memory.memsw.limit_in_bytes", bytes);
	}
	return 0;
}

static int set_limit(struct cgroup *g, int c, const struct cgroup_limits *l, int version)
{
	const int dir = g->of[c]->dir;
	int r = c == MEMORY ? limit_memory(dir, version, l->memory_bytes) : put_number(dir, "pids.max", l->tasks);

	if (r == 0)
		g->version[c] = version;
	return r;
}

static void write_text(struct cgroup *g, const struct cgroup_limits *l)
{
	const int *v = g->version;
	size_t at = 0;

	if (v[MEMORY])
		at = (size_t)snprintf(g->text, sizeof(g->text), "cgroup v%d: memory %" PRIu64 " MiB", v[MEMORY],
				      l->memory_bytes >> 20);
	if (v[PIDS] && v[PIDS] == v[MEMORY])
		(void)snprintf(g->text + at, sizeof(g->text) - at, ", %u tasks", l->tasks);
	else if (v[PIDS])
		(void)snprintf(g->text + at, sizeof(g->text) - at, "%scgroup v%d: %u tasks", at ? "; " : "", v[PIDS], l->tasks);
}

int cgroup_new(const struct cgroup_limits *l, struct cgroup **ret, struct err *err)
{
	CLEANUP_FREE struct cgroup_place *places = calloc(NR_CONTROLLERS, sizeof(*places));
	CLEANUP(cgroup_freep) struct cgroup *g = calloc(1, sizeof(*g));
	int first = 0, enabled = 0;
	bool tried = false;

	if (!g || !places)
		return err_set(err, -ENOMEM, "control group");
	/* All before anything is moved. */
	for (int c = 0; c < NR_CONTROLLERS; c++)
		find_place(controllers[c], &places[c]);
	for (int c = 0; c < NR_CONTROLLERS; c++) {
		int r;

		if (places[c].version == 2 && !tried)
			enabled = enable(&places[c]);
		tried |= places[c].version == 2;
		r = places[c].version == 2 ? enabled : 0;
		if (r == 0)
			r = get_group(g, c, places);
		if (r == 0)
			r = set_limit(g, c, l, places[c].version);
		if (r < 0) {
			log_debug("no limit by the controller %s: %s", controllers[c], strerror(-r));
			first = first ? first : r;
		}
	}
	if (!g->version[MEMORY] && !g->version[PIDS])
		return err_text(err, -EOPNOTSUPP, "control groups: %s", strerror(-first));
	write_text(g, l);
	*ret = TAKE_PTR(g);
	return 0;
}

int cgroup_add(const struct cgroup *g, pid_t pid)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < g->nr; i++)
		r = put_number(g->group[i].dir, "cgroup.procs", (uint64_t)pid);
	return r;
}

const char *cgroup_text(const struct cgroup *g)
{
	return g->text;
}

bool cgroup_ran_out(const struct cgroup *g)
{
	if (!g->version[MEMORY])
		return false;
	return get_number(g->of[MEMORY]->dir, g->version[MEMORY] == 2 ? "memory.events" : "memory.oom_control",
			  "oom_kill ") > 0;
}

void cgroup_free(struct cgroup *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->nr; i++)
		remove_group(&g->group[i]);
	free(g);
}

void cgroup_sweep(void)
{
	for (int c = 0; c < NR_CONTROLLERS; c++) {
		CLEANUP_CLOSE int fd = -1;
		struct cgroup_place p;

		find_place(controllers[c], &p);
		fd = p.version ? open_place(&p) : -1;
		if (fd >= 0)
			sweep(fd);
	}
}
