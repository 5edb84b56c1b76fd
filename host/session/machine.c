/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/session/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "host/session/room.h"
#include "host/vm/children.h"

#define MACHINE_DEV_ERR_BYTES 8192
#define MACHINE_STOP_MS 1000
#define MACHINE_WATCHDOG_S 60		/* beyond the idle time-out */
#define MACHINE_SLOT_BYTES_MIN 65536

/* Ends of the vhost-user sockets: [0] vsock, then one a disk. */
struct plugs {
	int device[1 + SESSION_DISKS_MAX + 1], qemu[1 + SESSION_DISKS_MAX + 1];
	size_t nr;
};

static void plugs_close(struct plugs *p)
{
	for (size_t i = 0; i < p->nr; i++) {
		(void)close(p->device[i]);
		(void)close(p->qemu[i]);
	}
}

static int plugs_make(struct plugs *p, size_t nr, struct err *err)
{
	while (p->nr < nr) {
		int sv[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
			return err_set(err, -errno, "socket pair");
		p->device[p->nr] = sv[0];
		p->qemu[p->nr++] = sv[1];
	}
	return 0;
}

/* The cache: we write it through a mapping made before the seal; nobody else can. */
static int make_cache(struct machine *m, uint32_t unit_max, struct err *err)
{
	size_t bytes;

	m->cache_slot_bytes = unit_max > MACHINE_SLOT_BYTES_MIN ? unit_max : MACHINE_SLOT_BYTES_MIN;
	m->nr_cache_slots = unit_max ? (uint32_t)(BROKER_CACHE_BYTES / m->cache_slot_bytes) : BROKER_CACHE_SLOTS_MIN;
	if (m->nr_cache_slots < BROKER_CACHE_SLOTS_MIN)
		m->nr_cache_slots = BROKER_CACHE_SLOTS_MIN;
	bytes = (size_t)m->cache_slot_bytes * m->nr_cache_slots;
	m->cache_job = calloc(m->nr_cache_slots, sizeof(*m->cache_job));
	m->cache_fd = memfd_create("chunk-cache", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (!m->cache_job || m->cache_fd < 0 || ftruncate(m->cache_fd, (off_t)bytes) < 0)
		return err_set(err, -errno, "chunk cache");
	m->cache = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->cache_fd, 0);
	if (m->cache == MAP_FAILED) {
		m->cache = NULL;
		return err_set(err, -errno, "chunk cache");
	}
	if (fcntl(m->cache_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
		return err_set(err, -errno, "chunk cache");
	return 0;
}

/* Who the device process is to be. It needs no file, so that root's becomes the jail's user, if that one may run us. */
struct device_user {
	bool drop;
	uid_t uid;
	gid_t gid;
};

static struct device_user device_user(void)
{
	struct device_user u = { .drop = false };
	struct stat st;

	vm_jail_user(&u.uid, &u.gid);
	u.drop = u.uid != geteuid();
	if (u.drop && (stat("/proc/self/exe", &st) < 0 || (st.st_mode & 05) != 05))
		u.drop = false;
	return u;
}

/* Between fork and exec. */
static void __attribute__((noreturn))
run_device(int link_fd, int null_fd, int err_fd, pid_t parent, const struct device_user *u)
{
	static char *const argv[] = { (char *)(uintptr_t)"pluck", (char *)(uintptr_t)"__device", NULL };
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (u->drop && (setgroups(0, NULL) < 0 || setresgid(u->gid, u->gid, u->gid) < 0 ||
			       setresuid(u->uid, u->uid, u->uid) < 0))
		_exit(125);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(126);
	/* All three are above 3: the first descriptors of a session are its stdio and what it was started with. */
	if (dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0 || dup2(err_fd, 2) < 0 || dup2(link_fd, 3) < 0 ||
		close_range(4, ~0u, 0) < 0)
		_exit(126);
	(void)execve("/proc/self/exe", argv, (char *const[]){ NULL });
	_exit(127);
}

static int above_stdio(int fd)
{
	int moved;

	if (fd < 0 || fd > 3)
		return fd;
	moved = fcntl(fd, F_DUPFD_CLOEXEC, 10);
	(void)close(fd);
	return moved;
}

static int start_device(struct machine *m, struct err *err)
{
	CLEANUP_CLOSE int theirs = -1, null_fd = -1, err_fd = -1;
	const struct device_user user = device_user();
	pid_t parent = getpid();
	int sv[2], errs[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return err_set(err, -errno, "socket pair");
	m->link_fd = sv[0];
	theirs = above_stdio(sv[1]);
	null_fd = above_stdio(open("/dev/null", O_RDWR | O_CLOEXEC));
	if (pipe2(errs, O_CLOEXEC) < 0)
		return err_set(err, -errno, "pipe");
	m->dev_err = console_new(errs[0], MACHINE_DEV_ERR_BYTES);
	err_fd = above_stdio(errs[1]);
	if (!m->dev_err || theirs < 0 || null_fd < 0 || err_fd < 0)
		return err_set(err, -errno, "start the device process");
	m->dev_pid = fork();
	if (m->dev_pid < 0)
		return err_set(err, -errno, "start the device process");
	if (m->dev_pid == 0)
		run_device(theirs, null_fd, err_fd, parent, &user);
	m->dev_pidfd = (int)syscall(SYS_pidfd_open, m->dev_pid, 0);
	if (m->dev_pidfd < 0)
		return err_set(err, -errno, "watch the device process");
	return io_set_nonblock(m->link_fd);
}

static int send_setup(struct broker *b, const struct plugs *p, uint32_t mib, struct err *err)
{
	struct machine *m = &b->m;
	struct link_msg msg = { .type = LINK_SETUP };
	CLEANUP_CLOSE int ro = -1;
	int fds[IO_FDS_MAX], r;
	char path[40];
	size_t nr = 0;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", m->cache_fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	if (ro < 0)
		return err_set(err, -errno, "chunk cache");
	msg.setup.ram_bytes = (uint64_t)mib << 20;
	msg.setup.guest_cid = BROKER_CID;
	msg.setup.nr_slots = b->disks.nr;
	msg.setup.nr_cache_slots = m->nr_cache_slots;
	msg.setup.cache_slot_bytes = m->cache_slot_bytes;
	fds[nr++] = m->ram_fd;
	fds[nr++] = ro;
	for (size_t i = 0; i < p->nr; i++)
		fds[nr++] = p->device[i];
	r = link_send(m->link_fd, &msg, fds, nr);
	return r < 0 ? err_set(err, r, "set up the device process") : 0;
}

/* A slot's disk is there when the guest looks for partitions only if that costs nothing: our own tools, and what is empty. */
static bool comes_early(const struct broker *b, uint32_t slot)
{
	return slot >= b->spec->nr_disks || !b->disks.sources[slot]->size_bytes;
}

static int send_disks(struct broker *b, bool early, struct err *err)
{
	for (uint32_t i = 0; i < b->disks.nr; i++) {
		struct source *s = b->disks.sources[i];
		struct link_msg msg = { .type = LINK_DISK, .slot = i };
		int fd = -1;

		if (comes_early(b, i) != early)
			continue;
		msg.disk.size_bytes = s->size_bytes;
		msg.disk.unit_bytes = s->unit_bytes;
		msg.disk.raw = s->raw_fd >= 0;
		if (i < b->spec->nr_disks)
			(void)snprintf((char *)msg.disk.serial, sizeof(msg.disk.serial), WIRE_SERIAL_FMT, i);
		else
			(void)snprintf((char *)msg.disk.serial, sizeof(msg.disk.serial), "%s", WIRE_SERIAL_TOOLS);
		if (msg.disk.raw) {
			fd = fcntl(s->raw_fd, F_DUPFD_CLOEXEC, 10);
			if (fd < 0)
				return err_set(err, -errno, "disk '%s'", disks_name(&b->disks, i));
		} else if (s->unit_bytes > b->m.cache_slot_bytes) {
			return err_text(err, -EBADMSG, "disk '%s': chunks of %u bytes", disks_name(&b->disks, i), s->unit_bytes);
		}
		devlink_send(b, &msg, fd);
	}
	return 0;
}

int machine_insert(struct broker *b, struct err *err)
{
	return send_disks(b, false, err);
}

static int start_vm(struct broker *b, const struct plugs *p, uint32_t mib, struct err *err)
{
	CLEANUP_BUF struct buf names = BUF_INIT, left_out = BUF_INIT;
	struct vm_config c = {
		.lib_dir = b->lib_dir, .memory_mib = mib, .nr_slots = b->disks.nr, .ram_fd = b->m.ram_fd,
		.vsock_fd = p->qemu[0], .blk_fds = p->qemu + 1, .ticket = b->ticket, .accel = b->m.kvm ? "kvm" : "tcg",
		.reduced_jail = b->spec->reduced_jail, .mount = b->spec->mount,
		/* The session ends first; this is for a host that forgot. */
		.watchdog_s = (uint32_t)(b->idle_ms / 1000) + MACHINE_WATCHDOG_S,
	};

	disks_fwcfg(&b->disks, &names);
	for (uint32_t i = 0; i < b->life->nr_left_out; i++)
		buf_fmt(&left_out, "%08x\n", b->life->left_out[i]);
	c.disks = buf_cstr(&names);
	c.left_out = buf_cstr(&left_out);
	if (!c.disks || !c.left_out)
		return err_set(err, -ENOMEM, "start QEMU");
	return vm_start(&c, &b->m.vm, err);
}

static void on_console(struct watch *w, uint32_t events)
{
	struct broker *b = w->arg;

	(void)events;
	if (vm_console_read(b->m.vm) == 0)
		events_remove(&b->events, w);
}

static void on_device_words(struct watch *w, uint32_t events)
{
	struct broker *b = w->arg;

	(void)events;
	if (console_read(b->m.dev_err) == 0)
		events_remove(&b->events, w);
}

static void on_vm_exit(struct watch *w, uint32_t events)
{
	struct broker *b = w->arg;
	char text[ERR_TEXT_MAX - 64];

	(void)events;
	events_remove(&b->events, w);
	devlink_event(&b->m.w_link, EPOLLIN);	/* QEMU ends when the device does, which may have said why */
	(void)vm_reason(b->m.vm, text, sizeof(text));
	broker_fail(b, -EHOSTDOWN, "%s", text);
}

/* Asked when the VM has ended, for whatever reason that was seen first: QEMU does not outlive its device for long. */
bool machine_device_killed(const struct machine *m)
{
	siginfo_t si = { 0 };

	return m->dev_pid > 0 && waitid(P_PID, (id_t)m->dev_pid, &si, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       si.si_code == CLD_KILLED && (si.si_status == SIGKILL || si.si_status == SIGTERM);
}

static void on_device_exit(struct watch *w, uint32_t events)
{
	struct broker *b = w->arg;
	char text[400];

	(void)events;
	events_remove(&b->events, w);
	/* What it said last comes before the news of its end. */
	devlink_event(&b->m.w_link, EPOLLIN);
	(void)console_read(b->m.dev_err);
	(void)console_tail(b->m.dev_err, text, sizeof(text));
	broker_fail(b, -EHOSTDOWN, "the device process ended%s%s", *text ? ": " : "", text);
}

static int watch(struct broker *b, struct watch *w, int fd, void (*fn)(struct watch *, uint32_t))
{
	w->fd = fd;
	w->fn = fn;
	w->arg = b;
	return events_add(&b->events, w, EPOLLIN);
}

static int watch_all(struct broker *b, struct err *err)
{
	struct machine *m = &b->m;
	int r;

	r = watch(b, &m->w_link, m->link_fd, devlink_event);
	if (r == 0)
		r = watch(b, &m->w_dev_exit, m->dev_pidfd, on_device_exit);
	if (r == 0)
		r = watch(b, &m->w_dev_err, console_fd(m->dev_err), on_device_words);
	if (r == 0)
		r = watch(b, &m->w_console, vm_console_fd(m->vm), on_console);
	if (r == 0)
		r = watch(b, &m->w_vm_exit, vm_exit_fd(m->vm), on_vm_exit);
	if (r == 0)
		r = watch(b, &m->w_fill, fill_fd(m->fill), devlink_filled);
	return r < 0 ? err_set(err, r, "event loop") : 0;
}

void machine_clear(struct machine *m)
{
	*m = (struct machine){
		.ram_fd = -1,
		.cache_fd = -1,
		.dev_pidfd = -1,
		.link_fd = -1,
		.w_link.fd = -1,
		.w_dev_exit.fd = -1,
		.w_dev_err.fd = -1,
		.w_console.fd = -1,
		.w_vm_exit.fd = -1,
		.w_fill.fd = -1,
	};
}

static int start_all(struct broker *b, bool kvm, struct err *err)
{
	const uint32_t mib = broker_memory_mib(b);
	CLEANUP(plugs_close) struct plugs p = { .nr = 0 };
	int r;

	b->m.kvm = kvm;
	if (b->disks.nr > VM_SLOTS_MAX)
		return err_text(err, -E2BIG, "%u disks: at most %d fit one VM", b->disks.nr, VM_SLOTS_MAX);
	b->max_active = room_for_clients(b->disks.nr);
	if (!b->max_active)
		return err_set(err, -EMFILE, "clients");
	r = plugs_make(&p, 1 + (size_t)b->disks.nr, err);
	if (r == 0)
		r = make_cache(&b->m, b->disks.unit_max, err);
	if (r == 0)
		r = b->m.ram_fd = vm_make_ram(mib, err);
	if (r >= 0)
		r = start_device(&b->m, err);
	if (r == 0)
		r = send_setup(b, &p, mib, err);
	if (r == 0)
		r = start_vm(b, &p, mib, err);
	if (r == 0)
		r = send_disks(b, true, err);
	/* Threads last: what is between fork and exec above is in a process with one thread. */
	if (r == 0)
		r = fill_new(BROKER_THREADS, &b->m.fill, err);
	if (r == 0)
		r = watch_all(b, err);
	/* Who could take no caller is better not there. */
	if (r == 0 && !room_for_caller(b->m.link_fd))
		r = err_set(err, -EMFILE, "callers");
	if (r < 0)
		return r;
	b->m.deadline_ms = broker_now_ms() + (kvm ? BROKER_KVM_MS : BROKER_BOOT_MS);
	return 0;
}

int machine_start(struct broker *b, bool kvm, struct err *err)
{
	int r = start_all(b, kvm, err);

	return r == -EMFILE ? err_ctx(err, r, "a session needs more open files than it may have ('ulimit -n')") : r;
}

static void stop_device(struct machine *m)
{
	struct pollfd pfd = { .fd = m->dev_pidfd, .events = POLLIN };
	struct link_msg stop = { .type = LINK_STOP };

	if (m->dev_pid <= 0)
		return;
	if (m->dev_pidfd < 0 || link_send(m->link_fd, &stop, NULL, 0) < 0 || poll(&pfd, 1, MACHINE_STOP_MS) != 1)
		(void)kill(m->dev_pid, SIGKILL);
	while (waitpid(m->dev_pid, NULL, 0) < 0 && errno == EINTR)
		;
}

void machine_stop(struct broker *b)
{
	struct machine *m = &b->m;
	struct watch *const watches[] = {
		&m->w_link, &m->w_dev_exit, &m->w_dev_err, &m->w_console, &m->w_vm_exit, &m->w_fill};

	for (size_t i = 0; i < sizeof(watches) / sizeof(*watches); i++)
		events_remove(&b->events, watches[i]);
	broker_keep_console(b);
	vm_free(m->vm);
	stop_device(m);
	children_end(MACHINE_STOP_MS, 0, NULL);
	if (m->fill)
		fill_free(m->fill, devlink_drop_job);
	while (m->out) {
		struct outgoing *o = m->out;

		m->out = o->next;
		if (o->fd >= 0)
			(void)close(o->fd);
		free(o);
	}
	console_free(m->dev_err);
	free(m->cache_job);
	if (m->cache)
		(void)munmap(m->cache, (size_t)m->cache_slot_bytes * m->nr_cache_slots);
	for (size_t i = 0; i < 4; i++) {
		const int fds[] = { m->ram_fd, m->cache_fd, m->dev_pidfd, m->link_fd };

		if (fds[i] >= 0)
			(void)close(fds[i]);
	}
	machine_clear(m);
	memset(b->active, 0, sizeof(b->active));
	b->nr_active = b->nr_work = 0;
	b->ping_ms = 0;
}
