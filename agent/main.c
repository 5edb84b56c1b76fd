/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/disk.h"
#include "agent/init.h"
#include "agent/server.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"

static const char usage[] = "usage: pluck-agent --unix SOCKET --ticket-file FILE --state DIR [--watchdog SECONDS]\n"
			    "       [--disk NAME=DEVICE]...\n"
			    "Runs the agent of the micro-VM by hand, as root, for tests; DIR must have mnt/ and lock/.\n";

static int add_disk(struct agent *a, char *arg)
{
	char *eq = strchr(arg, '='), *dev = eq ? strrchr(eq, '/') : NULL;
	struct agent_disk *d = &a->disk[a->nr_disks];

	if (!dev || a->nr_disks == AGENT_DISKS_MAX)
		return -EINVAL;
	*d = (struct agent_disk){ .slot = (unsigned int)a->nr_disks };
	*eq = 0;
	if (snprintf(d->name, sizeof(d->name), "%s", arg) >= (int)sizeof(d->name) ||
	    snprintf(d->dev, sizeof(d->dev), "%s", dev + 1) >= (int)sizeof(d->dev))
		return -EINVAL;
	a->nr_disks++;
	return 0;
}

static int read_ticket(struct agent *a, const char *path)
{
	CLEANUP_FREE char *text = NULL;
	size_t len;
	int r = io_read_file(AT_FDCWD, path, 4096, &text, &len);

	if (r < 0 || len < WIRE_TICKET_HEX)
		return -EINVAL;
	memcpy(a->ticket, text, WIRE_TICKET_HEX);
	return 0;
}

static int set_state(struct agent *a, const char *dir)
{
	static char mnt[256], lock[256];

	if (snprintf(mnt, sizeof(mnt), "%s/mnt", dir) >= (int)sizeof(mnt) ||
	    snprintf(lock, sizeof(lock), "%s/lock", dir) >= (int)sizeof(lock))
		return -EINVAL;
	a->mnt_dir = mnt;
	a->lock_dir = lock;
	return 0;
}

/* Return: the listening socket; negative errno. */
static int setup_by_hand(struct agent *a, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {
		{ "unix", 1, NULL, 'u' },  { "ticket-file", 1, NULL, 't' },
		{ "state", 1, NULL, 's' }, { "disk", 1, NULL, 'd' },
		{ "watchdog", 1, NULL, 'w' },
		{ 0 },
	};
	const char *path = NULL;
	int c, r = 0;

	while (!r && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'u')
			path = optarg;
		else if (c == 't')
			r = read_ticket(a, optarg);
		else if (c == 's')
			r = set_state(a, optarg);
		else if (c == 'w')
			r = init_parse_watchdog(a, optarg, strlen(optarg));
		else
			r = c == 'd' ? add_disk(a, optarg) : -EINVAL;
	}
	if (r < 0 || optind != argc || !path || !a->mnt_dir || !a->ticket[0])
		return err_text(err, -EINVAL, "bad arguments\n%s", usage);
	return server_listen_unix(path, err);
}

static int setup_in_vm(struct agent *a, struct err *err)
{
	int r = init_setup(err), fd;

	if (r < 0)
		return r;
	a->mnt_dir = "/mnt";
	a->lock_dir = "/run/lock";
	r = init_read_fw_cfg(a, err);
	if (r < 0)
		return r;
	fd = server_listen_vsock(err);
	if (fd < 0)
		return fd;
	disk_locate_early(a);
	r = server_say_ready(err);
	return r < 0 ? r : fd;
}

int main(int argc, char **argv)
{
	struct agent a = { .is_init = getpid() == 1, .watchdog_s = WIRE_WATCHDOG_S };
	struct err err = ERR_INIT;
	int fd;

	umask(0022);	/* what FAT and its like show as modes depends on it */
	log_open(2, "pluck-agent: ");
	(void)signal(SIGPIPE, SIG_IGN);
	a.shared = mmap(NULL, sizeof(*a.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (a.shared == MAP_FAILED)
		fd = err_set(&err, -errno, "shared memory");
	else if (a.is_init)
		fd = setup_in_vm(&a, &err);
	else
		fd = setup_by_hand(&a, argc, argv, &err);
	if (fd >= 0) {
		atomic_store(&a.shared->start_s, agent_now());
		if (server_run(&a, fd, &err) == 0)
			err_text(&err, 0, "nobody asked for anything in %u s", a.watchdog_s);
	}
	if (a.is_init)
		init_poweroff(err.text);
	log_err("%s", err.text);
	return 1;
}
