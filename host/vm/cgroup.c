/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/vm/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"

#define PREFIX "pluck-"
#define PREFIX_LEN (sizeof(PREFIX) - 1)
#define NAME_HEX 16
#define NAME_LEN (PREFIX_LEN + NAME_HEX)
#define OURS "pluck-commands"		/* where our own processes go */
#define OURS_LEN sizeof(OURS)		/* with the slash before it */
#define FILE_MAX 65536
#define PIDS_MAX 64			/* processes of our own that are moved */
#define GONE_MS 1000

enum { MEMORY, PIDS, NR_CONTROLLERS };

static const char *const controllers[NR_CONTROLLERS] = { "memory", "pids" };

/* Our own group in the hierarchy of one controller. */
struct place {
	int version;		/* 0: there is none */
	char dir[PATH_MAX];
};

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

static bool has_word(const char *list, size_t len, const char *word)
{
	const size_t n = strlen(word);

	for (size_t at = 0; at < len;) {
		const char *end = memchr(list + at, ',', len - at);
		const size_t part = end ? (size_t)(end - list) - at : len - at;

		if (part == n && !memcmp(list + at, word, n))
			return true;
		at += part + 1;
	}
	return false;
}

/* Of lines "ID:CONTROLLERS:PATH"; those of version 2 have no controllers. Return: version, 0; the path is cut off in place. */
static int own_path(char *text, const char *controller, const char **ret)
{
	int version = 0;

	for (char *line = text, *next; line && *line; line = next) {
		char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;

		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		if (!path)
			continue;
		if (has_word(list + 1, (size_t)(path - list - 1), controller)) {
			*ret = path + 1;
			return 1;
		}
		if (path == list + 1) {
			*ret = path + 1;
			version = 2;
		}
	}
	return version;
}

/* Where a hierarchy is mounted, and which of its groups is to be seen there. @line: of mountinfo. */
static bool is_mount(const char *line, int version, const char *controller, char root[static PATH_MAX],
		     char point[static PATH_MAX])
{
	const char *tail = strstr(line, " - ");
	char type[16], options[256];

	if (!tail || sscanf(tail, " - %15s %*s %255s", type, options) != 2 ||
		sscanf(line, "%*s %*s %*s %4095s %4095s", root, point) != 2 || strchr(point, '\\') || strchr(root, '\\'))
		return false;
	if (version == 2)
		return !strcmp(type, "cgroup2");
	return !strcmp(type, "cgroup") && has_word(options, strlen(options), controller);
}

static bool find_mount(struct place *p, const char *controller, const char *path)
{
	CLEANUP_FILE FILE *f = fopen("/proc/self/mountinfo", "re");
	CLEANUP_FREE char *line = NULL;
	char root[PATH_MAX], point[PATH_MAX];
	size_t room = 0;

	while (f && getline(&line, &room, f) > 0) {
		size_t len;
		int n;

		if (!is_mount(line, p->version, controller, root, point))
			continue;
		len = strcmp(root, "/") != 0 ? strlen(root) : 0;
		if (strncmp(path, root, len) != 0 || (path[len] && path[len] != '/') || strstr(path, "/.."))
			continue;
		n = snprintf(p->dir, sizeof(p->dir), "%s%s", point, path + len);
		return n > 0 && (size_t)n < sizeof(p->dir);
	}
	return false;
}

static void find_place(const char *controller, struct place *ret)
{
	CLEANUP_FREE char *text = NULL;
	const char *path = NULL;
	size_t len;

	ret->version = 0;
	if (io_read_file(AT_FDCWD, "/proc/self/cgroup", FILE_MAX, &text, &len) < 0)
		return;
	ret->version = own_path(text, controller, &path);
	if (ret->version && !find_mount(ret, controller, path))
		ret->version = 0;
	/* There are we alone; what is to be divided is the one above. */
	len = ret->version == 2 ? strlen(ret->dir) : 0;
	if (len > OURS_LEN && !strcmp(ret->dir + len - OURS_LEN, "/" OURS))
		ret->dir[len - OURS_LEN] = 0;
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

/* Under systemd: is the group ours to divide? */
static bool is_delegated(const char *dir)
{
	char v = 0;

	if (access("/run/systemd/system", F_OK) < 0)
		return true;
	return (getxattr(dir, "user.delegate", &v, 1) == 1 || getxattr(dir, "trusted.delegate", &v, 1) == 1) && v == '1';
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
	if (r == 0 && mkdirat(parent, OURS, 0755) < 0 && errno != EEXIST)
		r = -errno;
	if (r < 0)
		return r;
	below = openat(parent, OURS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
static int enable(const char *dir)
{
	static const char words[] = "+memory +pids";
	CLEANUP_CLOSE int parent = -1;
	int r;

	if (!is_delegated(dir))
		return -EPERM;
	parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return -errno;
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
static int get_group(struct cgroup *g, int c, const struct place *places)
{
	const struct place *p = &places[c];
	struct group *n = &g->group[g->nr];
	int r;

	if (!p->version)
		return -ENOENT;
	if (p->version == 1 && !is_delegated(p->dir))
		return -EPERM;
	*n = (struct group){ .dir = -1 };
	n->parent = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (n->parent < 0)
		return -errno;
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
	CLEANUP_FREE struct place *places = calloc(NR_CONTROLLERS, sizeof(*places));
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
			enabled = enable(places[c].dir);
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
		struct place p;

		find_place(controllers[c], &p);
		fd = p.version ? open(p.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
		if (fd >= 0)
			sweep(fd);
	}
}
