/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/vm/jail.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "host/confine/confine.h"
#include "host/vm/vm.h"

#define JAIL_NOBODY 65534
#define JAIL_USER "pluck"
#define JAIL_NOFILE 512
#define JAIL_ADDRESS_MIB 3072		/* besides the guest's memory; TCG reserves up to 1 GiB for what it translates */
#define JAIL_FILE_BYTES (1u << 20)	/* it has no file to write but in /tmp */
#define WARDEN_WORDS 5
#define JAIL_TASKS 1024			/* more than the user has; the user's other programs start some, too */

static const char *const jail_args[] = {
	"--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
	"--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv", "--hostname", "jail", "--chdir", "/",
	"--size", "1048576", "--tmpfs", "/tmp", "--proc", "/proc", "--dir", "/dev",
	"--dev-bind", "/dev/null", "/dev/null", "--dev-bind", "/dev/urandom", "/dev/urandom",
};

/* Is an id known to our user namespace? In a rootless container root is no root outside, and may have no other ids. */
static bool is_mapped(const char *map, unsigned int id)
{
	CLEANUP_FILE FILE *f = fopen(map, "re");
	unsigned int inside, outside, nr;

	while (f && fscanf(f, "%u %u %u", &inside, &outside, &nr) == 3)
		if (id >= inside && id - inside < nr)
			return true;
	return false;
}

void vm_jail_user(uid_t *ret_uid, gid_t *ret_gid)
{
	const struct passwd *pw;
	uid_t uid;
	gid_t gid;

	*ret_uid = geteuid();
	*ret_gid = getegid();
	if (*ret_uid)
		return;
	pw = getpwnam(JAIL_USER);
	uid = pw && pw->pw_uid ? pw->pw_uid : JAIL_NOBODY;
	gid = pw && pw->pw_uid ? pw->pw_gid : JAIL_NOBODY;
	if (!is_mapped("/proc/self/uid_map", uid) || !is_mapped("/proc/self/gid_map", gid))
		return;
	*ret_uid = uid;
	*ret_gid = gid;
}

int jail_give(int fd, mode_t mode)
{
	uid_t uid;
	gid_t gid;

	vm_jail_user(&uid, &gid);
	if (fchmod(fd, mode) < 0)
		return -errno;
	if (uid != geteuid() && fchown(fd, uid, gid) < 0)
		return -errno;
	return 0;
}

static void add_arg(struct buf *b, const char *arg)
{
	buf_add(b, arg, strlen(arg) + 1);
}

/* bubblewrap's own arguments, NUL-separated in a memfd: they would be thousands of bytes in everybody's ps. */
static int make_args(const struct jail *j, int filter_fd, struct err *err)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_CLOSE int fd = -1;
	char number[16];

	for (size_t i = 0; i < sizeof(jail_args) / sizeof(*jail_args); i++)
		add_arg(&b, jail_args[i]);
	for (size_t i = 0; i < j->qemu->nr_files; i++) {
		add_arg(&b, "--ro-bind");
		add_arg(&b, j->qemu->files[i]);
		add_arg(&b, j->qemu->files[i]);
	}
	add_arg(&b, "--ro-bind");
	add_arg(&b, j->qemu->path);
	add_arg(&b, j->qemu->path);
	if (j->kvm) {
		/* Where it is not there, QEMU says so, and the VM starts again without. */
		add_arg(&b, "--dev-bind-try");
		add_arg(&b, "/dev/kvm");
		add_arg(&b, "/dev/kvm");
	}
	add_arg(&b, "--remount-ro");
	add_arg(&b, "/");
	(void)snprintf(number, sizeof(number), "%d", filter_fd);
	add_arg(&b, "--seccomp");
	add_arg(&b, number);
	if (buf_ok(&b) < 0)
		return err_set(err, buf_ok(&b), "jail");
	fd = memfd_create("jail", MFD_CLOEXEC);
	if (fd < 0 || io_write_full(fd, b.data, b.len) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_set(err, -errno, "arguments of the jail");
	return TAKE_FD(fd);
}

static int limit(__rlimit_resource_t what, rlim_t max)
{
	struct rlimit old, rl = { .rlim_cur = max, .rlim_max = max };

	if (getrlimit(what, &old) == 0 && old.rlim_max < max)
		rl.rlim_cur = rl.rlim_max = old.rlim_max;
	return setrlimit(what, &rl);
}

/* Threads of a user, as the kernel counts them for RLIMIT_NPROC. A process that is not dumpable counts as root's: few are. */
static rlim_t count_tasks(uid_t uid)
{
	CLEANUP_DIR DIR *d = opendir("/proc");
	const struct dirent *de;
	rlim_t nr = 0;

	while (d && (de = readdir(d))) {
		char name[sizeof(de->d_name) + 8];
		struct stat st;

		if (de->d_name[0] < '0' || de->d_name[0] > '9')
			continue;
		(void)snprintf(name, sizeof(name), "%s/task", de->d_name);
		if (fstatat(dirfd(d), name, &st, 0) == 0 && st.st_uid == uid && st.st_nlink > 2)
			nr += st.st_nlink - 2;
	}
	return nr;
}

/* The group of /dev/kvm, kept when root steps down; -1 if it is not needed. */
static gid_t kvm_group(const struct jail *j)
{
	struct stat st;

	if (!j->kvm || geteuid() != 0 || stat("/dev/kvm", &st) < 0)
		return (gid_t)-1;
	return st.st_gid;
}

struct step {
	uid_t uid;
	gid_t gid, kvm;
	bool drop;
	pid_t parent;
	int null_fd, args_fd, filter_fd;
	int own_fd, life[2];	/* of the warden: our program, and the pipe that tells it of our end; -1 without one */
	int go[2];	/* closed when it may go on */
	int paths;	/* Landlock rule set of the reduced jail; -1 */
	rlim_t max_tasks;
	const char *program;
	char *const *argv, *const *env;
};

static rlim_t address_max(const struct jail *j)
{
	return ((rlim_t)j->memory_mib + JAIL_ADDRESS_MIB) << 20;
}

/* What it cannot exceed. bubblewrap is small enough to run under the same; the warden, with all our libraries, sets the last one itself. */
static bool set_limits(const struct jail *j, const struct step *s)
{
	return limit(RLIMIT_CORE, 0) == 0 && limit(RLIMIT_NOFILE, JAIL_NOFILE) == 0 &&
	       limit(RLIMIT_FSIZE, JAIL_FILE_BYTES) == 0 && limit(RLIMIT_MEMLOCK, 0) == 0 &&
	       limit(RLIMIT_MSGQUEUE, 0) == 0 && limit(RLIMIT_NPROC, s->max_tasks) == 0 &&
	       (s->own_fd >= 0 || limit(RLIMIT_AS, address_max(j)) == 0);
}

/* One thread forked and one thread is here, so that the filter may be made here, with our own pid. */
static bool enter_reduced(const struct step *s)
{
	return setsid() >= 0 && chdir("/") == 0 && confine_paths_enter(s->paths) == 0 && confine_jail_enter() == 0;
}

/* Between fork and exec: only what is safe there. */
static void __attribute__((noreturn)) run_child(const struct jail *j, const struct step *s)
{
	sigset_t none;
	char c;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)close(s->go[1]);
	while (read(s->go[0], &c, 1) < 0 && errno == EINTR)
		;
	if (dup2(s->null_fd, 0) < 0 || dup2(j->err_fd, 1) < 0 || dup2(j->err_fd, 2) < 0)
		_exit(126);
	if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		_exit(126);
	for (size_t i = 0; i < j->nr_fds; i++)
		if (fcntl(j->fds[i], F_SETFD, 0) < 0)
			_exit(126);
	if (s->own_fd >= 0 && (fcntl(s->own_fd, F_SETFD, 0) < 0 || fcntl(s->life[0], F_SETFD, 0) < 0))
		_exit(126);
	if (!j->reduced && (fcntl(s->args_fd, F_SETFD, 0) < 0 || fcntl(s->filter_fd, F_SETFD, 0) < 0))
		_exit(126);
	if (s->drop && setgroups(s->kvm == (gid_t)-1 ? 0 : 1, &s->kvm) < 0)
		_exit(125);
	/* systemd-run has to be root to ask for a scope, and does this itself. */
	if (s->drop && !j->scope && (setresgid(s->gid, s->gid, s->gid) < 0 || setresuid(s->uid, s->uid, s->uid) < 0))
		_exit(125);
	/* After the change of user, which resets it. The warden sees our end by its pipe, and must live to act on it. */
	if ((s->own_fd < 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) || getppid() != s->parent)
		_exit(126);
	/* In this order: whatever makes the filter may need more address space than QEMU is to have. */
	if ((j->reduced && !enter_reduced(s)) || !set_limits(j, s))
		_exit(124);
	(void)execve(s->program, s->argv, s->env);
	_exit(127);
}

static int allow_path(int set, const char *path, bool write)
{
	CLEANUP_CLOSE int fd = open(path, O_PATH | O_CLOEXEC);

	return fd < 0 ? -errno : confine_paths_allow(set, fd, write);
}

/* The files that bubblewrap would bind, and those behind inherited descriptors, which QEMU opens anew. */
static int make_paths(const struct jail *j, struct err *err)
{
	CLEANUP_CLOSE int set = confine_paths_new();
	int r;

	if (set < 0)
		return err_set(err, set, "the reduced jail needs Landlock");
	r = allow_path(set, j->qemu->path, false);
	for (size_t i = 0; r == 0 && i < j->qemu->nr_files; i++)
		r = allow_path(set, j->qemu->files[i], false);
	if (r == 0)
		r = allow_path(set, "/dev/null", true);
	if (r == 0)
		r = allow_path(set, "/dev/urandom", false);
	if (r == 0 && j->kvm && access("/dev/kvm", F_OK) == 0)
		r = allow_path(set, "/dev/kvm", true);
	/* Memory files and sockets are in no file system that Landlock knows, and stay reachable. */
	for (size_t i = 0; r == 0 && i < j->nr_fds; i++) {
		struct stat st;

		if (fstat(j->fds[i], &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink)
			r = confine_paths_allow(set, j->fds[i], false);
	}
	return r < 0 ? err_set(err, r, "paths of the reduced jail") : TAKE_FD(set);
}

/* The child waits until it is where its limits are. */
static int fork_child(const struct jail *j, struct step *s, pid_t *ret, struct err *err)
{
	int r = 0;
	pid_t pid;

	s->max_tasks = count_tasks(s->uid) + JAIL_TASKS;
	if (pipe2(s->go, O_CLOEXEC) < 0)
		return err_set(err, -errno, "pipe");
	pid = fork();
	if (pid == 0)
		run_child(j, s);
	if (pid < 0)
		r = err_set(err, -errno, "fork for the jail");
	else if (j->cgroup)
		r = cgroup_add(j->cgroup, pid);
	(void)close(s->go[0]);
	(void)close(s->go[1]);
	if (pid < 0)
		return r;
	*ret = pid;
	if (r < 0)
		log_debug("control group: %s", strerror(-r));
	return r < 0;
}

static int start_reduced(const struct jail *j, struct step *s, pid_t *ret, struct err *err)
{
	CLEANUP_CLOSE int paths = make_paths(j, err);

	if (paths < 0)
		return paths;
	s->paths = paths;
	s->program = j->argv[0];
	s->argv = j->argv;
	return fork_child(j, s, ret, err);
}

/* Our own program, if the jail's user may run it; -1. */
static int open_own(const struct step *s)
{
	CLEANUP_CLOSE int fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || (s->drop && (st.st_mode & 05) != 05))
		return -1;
	return TAKE_FD(fd);
}

/* The warden's words before those of bubblewrap. */
struct warden {
	char program[32], life[12], own[12], address[24];
};

static size_t warden_words(struct warden *w, const struct jail *j, const struct step *s, const char **ret)
{
	(void)snprintf(w->program, sizeof(w->program), "/proc/self/fd/%d", s->own_fd);
	(void)snprintf(w->life, sizeof(w->life), "%d", s->life[0]);
	(void)snprintf(w->own, sizeof(w->own), "%d", s->own_fd);
	(void)snprintf(w->address, sizeof(w->address), "%llu", (unsigned long long)address_max(j));
	ret[0] = w->program;
	ret[1] = "__jail";
	ret[2] = w->life;
	ret[3] = w->own;
	ret[4] = w->address;
	return WARDEN_WORDS;
}

static int start_strict(const struct jail *j, struct step *s, pid_t *ret, struct err *err)
{
	CLEANUP_FREE char *bwrap = NULL;
	CLEANUP_FREE const char **argv = NULL;
	CLEANUP_CLOSE int args_fd = -1, filter_fd = -1;
	size_t nr = 0, at = 0;
	struct warden warden;
	char number[16];

	if (qemu_find_program("bwrap", &bwrap) < 0)
		return err_text(err, -EHOSTDOWN, "there is no bwrap to put QEMU into a jail (Debian package bubblewrap)");
	filter_fd = confine_jail_program(err);
	if (filter_fd < 0)
		return filter_fd;
	args_fd = make_args(j, filter_fd, err);
	if (args_fd < 0)
		return args_fd;
	while (j->argv[nr])
		nr++;
	argv = calloc(nr + 5 + SCOPE_WORDS + WARDEN_WORDS, sizeof(*argv));
	if (!argv)
		return err_set(err, -ENOMEM, "jail");
	(void)snprintf(number, sizeof(number), "%d", args_fd);
	for (char *const *w = j->scope ? j->scope->words : NULL; w && *w; w++)
		argv[at++] = *w;
	if (s->own_fd >= 0)
		at += warden_words(&warden, j, s, argv + at);
	s->program = argv[0] ? argv[0] : bwrap;
	if (s->own_fd >= 0 && !j->scope)
		argv[0] = "pluck";
	argv[at++] = bwrap;
	argv[at++] = "--args";
	argv[at++] = number;
	argv[at++] = "--";
	for (size_t i = 0; i < nr; i++)
		argv[at++] = j->argv[i];
	s->args_fd = args_fd;
	s->filter_fd = filter_fd;
	s->argv = (char *const *)(uintptr_t)argv;
	if (j->scope)
		s->env = j->scope->env;
	return fork_child(j, s, ret, err);
}

int jail_start(const struct jail *j, pid_t *ret, int *ret_life, struct err *err)
{
	static char *const no_env[] = { NULL };
	struct step s = { .parent = getpid(), .kvm = kvm_group(j), .args_fd = -1, .filter_fd = -1, .paths = -1, .own_fd = -1,
			  .life = { -1, -1 }, .env = no_env };
	CLEANUP_CLOSE int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), own_fd = -1, life_in = -1, life_out = -1;
	int r;

	*ret_life = -1;
	if (null_fd < 0)
		return err_set(err, -errno, "/dev/null");
	s.null_fd = null_fd;
	vm_jail_user(&s.uid, &s.gid);
	s.drop = s.uid != geteuid();
	if (j->reduced)
		return start_reduced(j, &s, ret, err);
	s.own_fd = own_fd = open_own(&s);
	if (own_fd >= 0 && pipe2(s.life, O_CLOEXEC) < 0)
		return err_set(err, -errno, "pipe");
	life_in = s.life[0];
	life_out = s.life[1];
	r = start_strict(j, &s, ret, err);
	if (r >= 0)
		*ret_life = TAKE_FD(life_out);
	return r;
}

/* Return: the number in the file; -1 if there is none. */
static long read_setting(const char *path)
{
	CLEANUP_FILE FILE *f = fopen(path, "re");
	long v;

	return f && fscanf(f, "%ld", &v) == 1 ? v : -1;
}

const char *jail_hint(const char *text)
{
	if (!strstr(text, "bwrap:"))
		return "";
	if (read_setting("/proc/sys/user/max_user_namespaces") == 0)
		return "this host forbids user namespaces: sysctl user.max_user_namespaces is 0 "
		       "(--jail reduced does without, and is weaker)";
	if (read_setting("/proc/sys/kernel/unprivileged_userns_clone") == 0)
		return "this host forbids user namespaces: sysctl kernel.unprivileged_userns_clone is 0 "
		       "(--jail reduced does without, and is weaker)";
	if (read_setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
		return "this host may forbid user namespaces: sysctl kernel.apparmor_restrict_unprivileged_userns is 1; "
		       "give bwrap an AppArmor profile that allows userns (--jail reduced does without, and is weaker)";
	return "this host may forbid user namespaces: in a container its seccomp profile may "
	       "(--jail reduced does without, and is weaker)";
}
