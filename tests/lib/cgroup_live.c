/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes control groups of version 2 (host/vm/cgroup.h) where there are some: as init's child in a VM, for tests/functional/cgroup2.t. Prints
 * TAP lines without a plan. "root" from the root group, "alone" from a group that has this process alone, "crowded" from one with another.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/vm/cgroup.h"
#include "host/vm/cgroup_place.h"

#define MEMORY_MIB 32
#define TASKS 10

static const char *who;

static void ok(bool good, const char *what)
{
	printf("%sok - %s: %s\n", good ? "" : "not ", who, what);
}

static void read_text(const char *path, char *ret, size_t room)
{
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(ret, 1, room - 1, f) : 0;

	ret[n] = 0;
	if (f)
		(void)fclose(f);
}

/* The path of a process's group, as the kernel tells it. */
static void group_of(pid_t pid, char *ret, size_t room)
{
	char path[64], text[512], *at;

	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	read_text(path, text, sizeof(text));
	at = strstr(text, "0::");
	(void)snprintf(ret, room, "%.200s", at ? at + 3 : "");
	ret[strcspn(ret, "\n")] = 0;
}

static bool file_is(const char *group, const char *file, const char *want)
{
	char path[512], text[64];

	(void)snprintf(path, sizeof(path), "/sys/fs/cgroup%.200s/%s", group, file);
	read_text(path, text, sizeof(text));
	text[strcspn(text, "\n")] = 0;
	if (strcmp(text, want) != 0)
		printf("# %s: '%s'\n", path, text);
	return !strcmp(text, want);
}

static bool is_there(const char *group)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "/sys/fs/cgroup%.200s", group);
	return access(path, F_OK) == 0;
}

/* A child that waits, in the group, and then does @act. Return: its exit status. */
static int run_in(const struct cgroup *g, char *ret_group, size_t room, int (*act)(void))
{
	int go[2], status = -1;
	pid_t pid;
	char c;

	if (pipe(go) < 0 || (pid = fork()) < 0)
		return -1;
	if (pid == 0) {
		(void)close(go[1]);
		(void)!read(go[0], &c, 1);
		_exit(act());
	}
	ok(cgroup_add(g, pid) == 0, "a process is moved");
	group_of(pid, ret_group, room);
	(void)close(go[0]);
	(void)close(go[1]);
	(void)waitpid(pid, &status, 0);
	return status;
}

static int bomb(void)
{
	int nr = 0;

	while (nr < 100) {
		pid_t pid = fork();

		if (pid == 0) {
			(void)pause();
			_exit(0);
		}
		if (pid < 0)
			break;
		nr++;
	}
	(void)signal(SIGTERM, SIG_IGN);
	(void)kill(0, SIGTERM);
	return nr;
}

static int alone_bomb(void)
{
	(void)setpgid(0, 0);
	return bomb();
}

static int eat(void)
{
	for (int mib = 0; mib < 4 * MEMORY_MIB; mib++) {
		char *p = malloc(1 << 20);

		if (!p)
			return 1;
		memset(p, mib + 1, 1 << 20);
	}
	return 0;
}

static void check_limits(const char *own)
{
	const struct cgroup_limits l = { .memory_bytes = (uint64_t)MEMORY_MIB << 20, .tasks = TASKS };
	struct cgroup *g = NULL;
	struct err err = ERR_INIT;
	char group[256], now[256], bytes[24];
	int r = cgroup_new(&l, &g, &err), status;

	ok(r == 0, "a group is made");
	if (r < 0) {
		printf("# %s\n", err.text);
		return;
	}
	ok(!strcmp(cgroup_text(g), "cgroup v2: memory 32 MiB, 10 tasks"), "with both limits");
	group_of(getpid(), now, sizeof(now));
	ok(!strcmp(now, own), "we are where we ought to be");
	status = run_in(g, group, sizeof(group), alone_bomb);
	ok(strstr(group, "/pluck-") && strlen(strrchr(group, '/')) == 23 && is_there(group), "its group is named as it ought to be");
	(void)snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)l.memory_bytes);
	ok(file_is(group, "memory.max", bytes) && file_is(group, "memory.swap.max", "0") && file_is(group, "memory.oom.group", "1") &&
	   file_is(group, "pids.max", "10"), "the kernel has the limits");
	ok(WIFEXITED(status) && WEXITSTATUS(status) == TASKS - 1, "no more tasks than that");
	ok(!cgroup_ran_out(g), "memory was enough");
	status = run_in(g, group, sizeof(group), eat);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && cgroup_ran_out(g), "more memory than that ends it, and that is seen");
	cgroup_free(g);
	ok(!is_there(group), "the group is gone");
}

/* One that was killed leaves its group; a sweep takes it, but none that is held. */
static void check_sweep(void)
{
	const struct cgroup_limits l = { .memory_bytes = (uint64_t)MEMORY_MIB << 20, .tasks = TASKS };
	struct cgroup *held = NULL;
	char kept[256], left[256] = "";
	int out[2];
	pid_t pid;

	if (cgroup_new(&l, &held, NULL) < 0 || pipe(out) < 0)
		return ok(false, "a second group");
	(void)run_in(held, kept, sizeof(kept), getppid);
	pid = fork();
	if (pid == 0) {
		struct cgroup *g = NULL;
		char group[256] = "";

		if (cgroup_new(&l, &g, NULL) == 0)
			(void)run_in(g, group, sizeof(group), getppid);
		(void)!write(out[1], group, sizeof(group));
		(void)kill(getpid(), SIGKILL);
	}
	(void)!read(out[0], left, sizeof(left));
	(void)waitpid(pid, NULL, 0);
	ok(*left && is_there(left) && is_there(kept), "who is killed leaves a group");
	cgroup_sweep();
	ok(!is_there(left), "a sweep removes it");
	ok(is_there(kept), "but none that is held");
	cgroup_free(held);
}

static void check_crowded(const char *own)
{
	const struct cgroup_limits l = { .memory_bytes = (uint64_t)MEMORY_MIB << 20, .tasks = TASKS };
	struct cgroup *g = NULL;
	struct err err = ERR_INIT;
	char now[256];

	ok(cgroup_new(&l, &g, &err) == -EOPNOTSUPP && !g, "there is no group where others' processes are");
	group_of(getpid(), now, sizeof(now));
	ok(!strcmp(now, own), "and nothing is moved");
}

int main(int argc, char **argv)
{
	(void)setvbuf(stdout, NULL, _IONBF, 0);
	if (argc != 3)
		return 2;
	who = argv[1];
	if (!strcmp(who, "crowded")) {
		check_crowded(argv[2]);
		return 0;
	}
	check_limits(argv[2]);
	check_sweep();
	return 0;
}
