/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Started in QEMU's place (PLUCK_QEMU), inside the real jail, with QEMU's arguments and descriptors: tries what a taken-over QEMU
 * would try. QEMU's own filter is not there. Which group of tries is told by the end of the program's name: probe-files, ...
 * It writes "GROUP NAME=WORD ..." to stderr; WORD is "no" if the try was refused, else "YES" or what was got. The session shows
 * the last 400 bytes of stderr, so that every group is short.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PROBE_SECRET
#define PROBE_SECRET "/nonexistent"	/* a file that everybody may read; the test makes it */
#endif
#ifndef PROBE_SOCKET
#define PROBE_SOCKET "/nonexistent"	/* a unix socket that listens, and accepts */
#endif
#ifndef PROBE_PID
#define PROBE_PID 1			/* a process of the same user on the host */
#endif
#ifndef PROBE_STATE
#define PROBE_STATE "/run/pluck"
#endif
#ifndef PROBE_LIB
#define PROBE_LIB "/usr/local/lib/pluck"
#endif

#define THREADS_MAX 20000
#define PIECE (64ul << 20)
#define PIECES_MAX 1024

static char out[400];
static size_t at;

static void say(const char *name, const char *word)
{
	int n = snprintf(out + at, sizeof(out) - at, " %s=%s", name, word);

	at += n < 0 || (size_t)n >= sizeof(out) - at ? 0 : (size_t)n;
}

static void tried(const char *name, bool got)
{
	say(name, got ? "YES" : "no");
}

static void say_number(const char *name, unsigned long v)
{
	char s[24];

	(void)snprintf(s, sizeof(s), "%lu", v);
	say(name, s);
}

static bool can_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd >= 0)
		(void)close(fd);
	return fd >= 0;
}

static bool can_list(const char *path)
{
	DIR *d = opendir(path);

	if (d)
		(void)closedir(d);
	return d;
}

/* Is a descriptor open that QEMU's arguments do not name? */
static unsigned long strange_fds(int argc, char **argv)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned long nr = 0;
	struct dirent *de;

	while (d && (de = readdir(d))) {
		int fd = atoi(de->d_name);
		bool known = fd <= 2 || fd == dirfd(d);
		char a[32], b[32];

		(void)snprintf(a, sizeof(a), "fd=%d", fd);
		(void)snprintf(b, sizeof(b), "/proc/self/fd/%d", fd);
		for (int i = 1; !known && i < argc; i++) {
			const char *p = strstr(argv[i], a), *q = strstr(argv[i], b);

			known = (p && (p[strlen(a)] < '0' || p[strlen(a)] > '9')) || (q && (q[strlen(b)] < '0' || q[strlen(b)] > '9'));
		}
		nr += !known;
	}
	return d ? nr : 0;
}

/* One of the files that it reads by descriptor, opened anew for writing. */
static bool can_write_image(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i++)
		if ((!strcmp(argv[i], "-kernel") || !strcmp(argv[i], "-initrd")) && can_open(argv[i + 1], O_WRONLY))
			return true;
	return false;
}

static void try_files(int argc, char **argv)
{
	tried("secret", can_open(PROBE_SECRET, O_RDONLY));
	tried("passwd", can_open("/etc/passwd", O_RDONLY));
	tried("root", can_list("/root"));
	tried("home", can_list("/home"));
	tried("lib-dir", can_list(PROBE_LIB));
	tried("tools", can_open(PROBE_LIB "/tools.img", O_RDONLY));
	tried("state", can_list(PROBE_STATE));
	tried("run", can_list("/run/pluck"));
	tried("var", can_list("/var"));
	tried("cwd", can_open("../../../../etc/hostname", O_RDONLY));
	tried("mem", can_open("/dev/mem", O_RDONLY));
	tried("kcore", can_open("/proc/kcore", O_RDONLY));
	tried("fuse", can_open("/dev/fuse", O_RDWR));
	tried("tty", can_open("/dev/tty", O_RDWR));
	say_number("fds", strange_fds(argc, argv));
}

static bool can_exec(const char *path)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		(void)execl(path, path, NULL);
		_exit(99);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && (!WIFEXITED(status) || WEXITSTATUS(status) != 99);
}

/* Leaves what it wrote: the test looks for it. */
static void try_write(int argc, char **argv)
{
	const int flags = O_WRONLY | O_CREAT;
	char path[64];

	tried("root", can_open("/jail-probe-was-here", flags));
	tried("etc", can_open("/etc/jail-probe-was-here", flags));
	tried("usr", can_open("/usr/jail-probe-was-here", flags));
	tried("dev", can_open("/dev/jail-probe-was-here", flags));
	tried("var", can_open("/var/tmp/jail-probe-was-here", flags));
	tried("secret", can_open(PROBE_SECRET, O_WRONLY));
	tried("state", can_open(PROBE_STATE "/jail-probe-was-here", flags));
	tried("self", can_open("/proc/self/exe", O_WRONLY));
	tried("image", can_write_image(argc, argv));
	tried("sysctl", can_open("/proc/sys/kernel/core_pattern", O_WRONLY));
	tried("mknod", mknod("/tmp/null", S_IFCHR | 0600, 0x103) == 0);
	(void)snprintf(path, sizeof(path), "/tmp/jail-probe-was-here");
	say("tmp", can_open(path, flags) ? "private" : "no");
	tried("remount", mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL) == 0);
	tried("exec-sh", can_exec("/bin/sh"));
	tried("exec-bwrap", can_exec("/usr/bin/bwrap"));
}

static unsigned long count_processes(void)
{
	DIR *d = opendir("/proc");
	unsigned long nr = 0;
	struct dirent *de;

	while (d && (de = readdir(d)))
		nr += de->d_name[0] >= '0' && de->d_name[0] <= '9';
	if (d)
		(void)closedir(d);
	return nr;
}

static void try_processes(void)
{
	char b[8], path[64];
	struct iovec local = { b, sizeof(b) }, remote = { (void *)&local, sizeof(b) };
	struct rlimit rl;

	say("seen", count_processes() > 2 ? "YES" : "no");
	tried("kill", kill(PROBE_PID, 0) == 0);
	tried("tgkill", syscall(SYS_tgkill, PROBE_PID, PROBE_PID, 0) == 0);
	tried("sigqueue", syscall(SYS_rt_sigqueueinfo, PROBE_PID, 0, NULL) == 0 || errno == EFAULT);
	tried("pidfd", syscall(SYS_pidfd_open, PROBE_PID, 0) >= 0);
	tried("seize", ptrace(PTRACE_SEIZE, PROBE_PID, 0, 0) == 0);
	tried("traceme", ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
	tried("vm-read", process_vm_readv(PROBE_PID, &local, 1, &remote, 1, 0) >= 0);
	tried("vm-self", process_vm_readv(getpid(), &local, 1, &remote, 1, 0) >= 0);
	(void)snprintf(path, sizeof(path), "/proc/%d/environ", PROBE_PID);
	tried("environ", can_open(path, O_RDONLY));
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", PROBE_PID);
	tried("mem", can_open(path, O_RDWR));
	tried("prlimit", syscall(SYS_prlimit64, PROBE_PID, RLIMIT_CORE, NULL, &rl) == 0);
	tried("fork", syscall(SYS_fork) >= 0);
	tried("clone", syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL) >= 0);
	tried("clone3", syscall(SYS_clone3, (uint64_t[11]){ 0 }, 88) >= 0);
	tried("dump", prctl(PR_GET_DUMPABLE) == 1 && getrlimit(RLIMIT_CORE, &rl) == 0 && rl.rlim_max);
	tried("privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1);
	tried("uid0", setuid(0) == 0);
}

static bool can_connect(const struct sockaddr_un *sun, socklen_t len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), sv[2];

	/* Without socket() there may be another way to one. */
	if (fd < 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, sv) == 0)
		fd = sv[0];
	return fd >= 0 && connect(fd, (const struct sockaddr *)sun, len) == 0;
}

static bool has_socket(int family, int type, int protocol)
{
	return socket(family, type, protocol) >= 0;
}

static void try_network(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", PROBE_SOCKET);
	tried("path", can_connect(&sun, sizeof(sun)));
	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%cjail-probe-%d", 0, PROBE_PID);
	tried("abstract", can_connect(&sun, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(sun.sun_path + 1))));
	tried("tcp", has_socket(AF_INET, SOCK_STREAM, 0));
	tried("udp", has_socket(AF_INET, SOCK_DGRAM, 0));
	tried("tcp6", has_socket(AF_INET6, SOCK_STREAM, 0));
	tried("raw", has_socket(AF_INET, SOCK_RAW, 1));
	tried("netlink", has_socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	tried("packet", has_socket(17, SOCK_RAW, 0));
	tried("vsock", has_socket(40, SOCK_STREAM, 0));
	tried("alg", has_socket(38, SOCK_SEQPACKET, 0));
	tried("bluetooth", has_socket(31, SOCK_RAW, 1));
	tried("unix", has_socket(AF_UNIX, SOCK_STREAM, 0));
}

static void try_kernel(void)
{
	union bpf_attr bpf = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1 };
	struct perf_event_attr perf = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(perf), .exclude_kernel = 1, .exclude_hv = 1 };
	char params[256] = { 0 };

	tried("userns", unshare(CLONE_NEWUSER) == 0);
	tried("netns", unshare(CLONE_NEWNET) == 0);
	tried("mntns", unshare(CLONE_NEWNS) == 0);
	tried("clone-ns", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL) >= 0);
	tried("mount", mount("none", "/tmp", "tmpfs", 0, NULL) == 0);
	tried("fsopen", syscall(SYS_fsopen, "tmpfs", 0) >= 0);
	tried("open-tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1) >= 0);
	tried("chroot", chroot("/tmp") == 0);
	tried("pivot", syscall(SYS_pivot_root, "/tmp", "/tmp") == 0);
	tried("bpf", syscall(SYS_bpf, BPF_MAP_CREATE, &bpf, sizeof(bpf)) >= 0);
	tried("perf", syscall(SYS_perf_event_open, &perf, 0, -1, -1, 0) >= 0);
	tried("keyctl", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1) >= 0);
	tried("add-key", syscall(SYS_add_key, "user", "jail-probe", "x", 1, KEY_SPEC_PROCESS_KEYRING) >= 0);
	tried("io-uring", syscall(SYS_io_uring_setup, 4, params) >= 0);
	tried("uffd", syscall(SYS_userfaultfd, 1) >= 0);
	tried("shm", shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600) >= 0);
	tried("memfd", syscall(SYS_memfd_create, "x", 0) >= 0);
}

/* Numbers of another system call table would pass by a filter that knows one only: this ends the process. */
static void try_x32(void)
{
	tried("x32", syscall(0x40000000 + SYS_getpid) >= 0);
}

/* Memory until it ends. MiB that were touched. */
static void try_memory(void)
{
	unsigned long mib = 0;
	char block[65536] = { 0 };
	size_t written = 0;
	ssize_t n;
	int fd = open("/tmp/full", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	(void)signal(SIGXFSZ, SIG_IGN);
	while (fd >= 0 && written < PIECE && (n = write(fd, block, sizeof(block))) > 0)
		written += (size_t)n;
	say_number("tmp-kib", written / 1024);
	for (int i = 0; i < PIECES_MAX; i++) {
		char *p = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (p == MAP_FAILED)
			break;
		mib += PIECE >> 20;
	}
	say_number("mib", mib);
}

/* Memory that is used, told while it grows: past a limit from outside there is no time to. */
static void try_touch(void)
{
	char line[32];
	unsigned long mib = 0;

	for (int i = 0; i < PIECES_MAX; i++) {
		char *p = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (p == MAP_FAILED)
			break;
		memset(p, 1, PIECE);
		mib += PIECE >> 20;
		(void)!write(STDERR_FILENO, line, (size_t)snprintf(line, sizeof(line), "mib=%lu\n", mib));
	}
}

static void *wait_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		(void)poll(NULL, 0, -1);
	return NULL;
}

/* Threads and descriptors until there are no more. */
static void try_bombs(void)
{
	unsigned long forks = 0, threads = 0, fds = 0;
	pthread_attr_t attr;
	pthread_t t;

	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, 16384);
	for (int i = 0; i < 64; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		forks += pid > 0;
	}
	while (threads < THREADS_MAX && pthread_create(&t, &attr, wait_for_ever, NULL) == 0)
		threads++;
	while (fds < 100000 && open("/dev/null", O_RDONLY) >= 0)
		fds++;
	say_number("forks", forks);
	say_number("threads", threads);
	say_number("fds", fds);
}

/* What is asked of a QEMU before it is used. */
static bool answer(int argc, char **argv)
{
	if (argc < 2)
		return false;
	if (!strcmp(argv[1], "--version"))
		return puts("QEMU emulator version 9.0.0") >= 0;
	if (argc == 3 && !strcmp(argv[2], "help") && strcmp(argv[1], "-L"))
		return puts("microvm\nname \"vhost-user-blk\"\nname \"vhost-user-vsock-device\"") >= 0;
	return argc == 3 && !strcmp(argv[2], "help");
}

int main(int argc, char **argv)
{
	const char *group = strrchr(argv[0], '-');

	if (answer(argc, argv))
		return 0;
	group = group ? group + 1 : "";
	if (!strcmp(group, "files"))
		try_files(argc, argv);
	else if (!strcmp(group, "write"))
		try_write(argc, argv);
	else if (!strcmp(group, "processes"))
		try_processes();
	else if (!strcmp(group, "network"))
		try_network();
	else if (!strcmp(group, "kernel"))
		try_kernel();
	else if (!strcmp(group, "x32"))
		try_x32();
	else if (!strcmp(group, "memory"))
		try_memory();
	else if (!strcmp(group, "touch"))
		try_touch();
	else if (!strcmp(group, "bombs"))
		try_bombs();
	(void)!write(STDERR_FILENO, out, at);
	(void)!write(STDERR_FILENO, "\n", 1);
	_exit(3);
}
