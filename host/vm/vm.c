/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/vm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "host/vm/cgroup.h"
#include "host/vm/console.h"
#include "host/vm/jail.h"
#include "host/vm/qemu.h"
#include "host/vm/scope.h"
#include "host/vm/tsc.h"

#define VM_CONSOLE_BYTES 262144
#define VM_STDERR_BYTES 8192
#define VM_ARGS_MAX 320
#define VM_IMAGE_MAX (256u << 20)	/* kernel or initramfs that has to be copied */
#define VM_GONE_MS 2000

struct vm {
	pid_t pid;		/* bubblewrap's warden, or QEMU's own */
	int pidfd, life_fd;	/* the second one's end is the warden's sign */
	bool reaped;
	int status;
	struct console *console, *errors;
	struct cgroup *cgroup;	/* or */
	struct scope *scope;
	char limits[320];
	bool ran_out;
};

CLEANUP_DEFINE(struct vm *, vm_free)

/* What is built up for one start. */
struct launch {
	char *argv[VM_ARGS_MAX + 1];
	size_t nr_args;
	int fds[JAIL_FDS_MAX];
	size_t nr_fds;
	int own[12];		/* descriptors that we opened for it */
	size_t nr_own;
	int error;
};

static void launch_clear(struct launch *l)
{
	for (size_t i = 0; i < l->nr_args; i++)
		free(l->argv[i]);
	for (size_t i = 0; i < l->nr_own; i++)
		(void)close(l->own[i]);
}

static void __attribute__((format(printf, 2, 3))) arg(struct launch *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (l->nr_args == VM_ARGS_MAX) {
		l->error = -E2BIG;
		return;
	}
	va_start(ap, fmt);
	n = vasprintf(&l->argv[l->nr_args], fmt, ap);
	va_end(ap);
	if (n < 0) {
		l->argv[l->nr_args] = NULL;
		l->error = -ENOMEM;
		return;
	}
	l->nr_args++;
}

static int pass(struct launch *l, int fd)
{
	if (l->nr_fds == JAIL_FDS_MAX)
		l->error = -E2BIG;
	else
		l->fds[l->nr_fds++] = fd;
	return fd;
}

/* The same for a descriptor that we opened; it is closed with the launch. */
static int pass_own(struct launch *l, int fd)
{
	if (l->nr_own == sizeof(l->own) / sizeof(*l->own)) {
		(void)close(fd);
		l->error = -E2BIG;
		return -1;
	}
	l->own[l->nr_own++] = fd;
	return pass(l, fd);
}

int vm_make_ram(uint32_t mib, struct err *err)
{
	CLEANUP_CLOSE int fd = memfd_create("guest-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return err_set(err, -errno, "guest memory");
	if (ftruncate(fd, (off_t)mib << 20) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return err_set(err, -errno, "guest memory of %u MiB", mib);
	r = jail_give(fd, 0600);
	if (r < 0)
		return err_set(err, r, "guest memory");
	return TAKE_FD(fd);
}

/* A sealed memfd with @n bytes, which the jail may read. */
static int make_blob(const char *name, const void *p, size_t n, struct err *err)
{
	CLEANUP_CLOSE int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return err_set(err, -errno, "memory file '%s'", name);
	r = io_write_full(fd, p, n);
	if (r == 0)
		r = jail_give(fd, 0400);
	if (r == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		r = -errno;
	if (r < 0)
		return err_set(err, r, "memory file '%s'", name);
	return TAKE_FD(fd);
}

/* A file of the library directory by a descriptor that the jail's user can open anew; a copy if its mode forbids that. */
static int open_image(const char *dir, const char *name, struct err *err)
{
	CLEANUP_FREE char *path = NULL, *data = NULL;
	CLEANUP_CLOSE int fd = -1;
	struct stat st;
	size_t len;
	uid_t uid;
	gid_t gid;
	int r;

	if (asprintf(&path, "%s/%s", dir, name) < 0) {
		path = NULL;
		return err_set(err, -ENOMEM, "open '%s'", name);
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, -errno, "open '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_text(err, -EINVAL, "'%s' is no file", path);
	vm_jail_user(&uid, &gid);
	if ((st.st_mode & S_IROTH) || (uid == geteuid() && st.st_uid == uid))
		return TAKE_FD(fd);
	r = io_read_file(AT_FDCWD, path, VM_IMAGE_MAX, &data, &len);
	if (r < 0)
		return err_set(err, r, "read '%s'", path);
	return make_blob(name, data, len, err);
}

/* A text for the guest's fw_cfg. */
static int add_text(struct launch *l, const char *item, const char *text, struct err *err)
{
	int fd = make_blob(strrchr(item, '/') + 1, text, strlen(text), err);

	if (fd < 0)
		return fd;
	arg(l, "-fw_cfg");
	arg(l, "name=%s,file=/proc/self/fd/%d", item, pass_own(l, fd));
	return 0;
}

static int add_files(struct launch *l, const struct vm_config *c, struct err *err)
{
	int fd, r;

	fd = open_image(c->lib_dir, "vmlinux", err);
	if (fd < 0)
		return fd;
	arg(l, "-kernel");
	arg(l, "/proc/self/fd/%d", pass_own(l, fd));
	fd = open_image(c->lib_dir, "initramfs.cpio", err);
	if (fd < 0)
		return fd;
	arg(l, "-initrd");
	arg(l, "/proc/self/fd/%d", pass_own(l, fd));
	r = add_text(l, WIRE_FWCFG_TICKET, c->ticket, err);
	if (r == 0)
		r = add_text(l, WIRE_FWCFG_DISKS, c->disks, err);
	if (r == 0 && c->mount && *c->mount)
		r = add_text(l, WIRE_FWCFG_MOUNT, c->mount, err);
	if (r == 0 && *c->left_out)	/* QEMU takes no empty file */
		r = add_text(l, WIRE_FWCFG_LEFT_OUT, c->left_out, err);
	arg(l, "-fw_cfg");
	arg(l, "name=" WIRE_FWCFG_WATCHDOG ",string=%u", c->watchdog_s);
	return r;
}

static void add_machine(struct launch *l, const struct vm_config *c, bool kvm)
{
	arg(l, "-M");
	arg(l, "microvm,memory-backend=m0%s", c->nr_slots > VM_MMIO_SLOTS ? ",pcie=on" : "");
	arg(l, "-accel");
	arg(l, "%s", kvm ? "kvm" : "tcg");
	arg(l, "-cpu");
	/* With these flags the guest copies and clears by "rep movsb" and "rep stosb", which TCG does byte by byte. */
	arg(l, "%s", kvm ? "host" : "max,-erms,-fsrm");
	arg(l, "-smp");
	arg(l, "1,maxcpus=2");	/* with one possible CPU TCG emits no fences, and the rings are shared with another process */
	arg(l, "-m");
	arg(l, "%u", c->memory_mib);
	arg(l, "-object");
	arg(l, "memory-backend-file,id=m0,size=%uM,share=on,mem-path=/proc/self/fd/%d", c->memory_mib, pass(l, c->ram_fd));
	arg(l, "-nodefaults");
	arg(l, "-no-user-config");
	arg(l, "-display");
	arg(l, "none");
	arg(l, "-no-reboot");
	arg(l, "-sandbox");
	arg(l, "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	arg(l, "-global");
	arg(l, "virtio-mmio.force-legacy=false");
}

static void add_devices(struct launch *l, const struct vm_config *c)
{
	arg(l, "-chardev");
	arg(l, "socket,id=v,fd=%d", pass(l, c->vsock_fd));
	arg(l, "-device");
	arg(l, "vhost-user-vsock-device,chardev=v");
	/* virtio-mmio devices are found by the guest in the order of their slots, so that the names of its disks follow ours. */
	for (uint32_t i = 0; i < c->nr_slots; i++) {
		arg(l, "-chardev");
		arg(l, "socket,id=b%u,fd=%d", i, pass(l, c->blk_fds[i]));
		arg(l, "-device");
		arg(l, "vhost-user-blk%s,chardev=b%u,num-queues=1", i < VM_MMIO_SLOTS ? "" : "-pci", i);
	}
}

static void add_kernel_args(struct launch *l, const struct vm_config *c, bool kvm)
{
	uint32_t khz = kvm ? 0 : tsc_khz();

	CLEANUP_BUF struct buf b = BUF_INIT;

	buf_str(&b, "console=ttyS0 loglevel=4 reboot=t panic=-1 8250.nr_uarts=1");
	if (khz)
		buf_fmt(&b, " tsc_early_khz=%u tsc=reliable", khz);
	/* Without the bus the kernel would complain on the console that it is not there. */
	if (c->nr_slots <= VM_MMIO_SLOTS)
		buf_str(&b, " pci=off");
	if (!buf_cstr(&b))
		l->error = -ENOMEM;
	arg(l, "-append");
	arg(l, "%s", buf_cstr(&b) ? buf_cstr(&b) : "");
}

/* The serial line and stderr: our ends into @vm, the others into the launch. */
static int add_console(struct launch *l, struct vm *vm, int *ret_err_fd, struct err *err)
{
	int con[2], errs[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, con) < 0)
		return err_set(err, -errno, "console");
	vm->console = console_new(con[0], VM_CONSOLE_BYTES);
	arg(l, "-chardev");
	arg(l, "socket,id=con,fd=%d", pass_own(l, con[1]));
	arg(l, "-serial");
	arg(l, "chardev:con");
	if (pipe2(errs, O_CLOEXEC) < 0)
		return err_set(err, -errno, "console");
	vm->errors = console_new(errs[0], VM_STDERR_BYTES);
	*ret_err_fd = errs[1];
	return vm->console && vm->errors ? 0 : err_set(err, -ENOMEM, "console");
}

static int build(struct launch *l, const struct vm_config *c, const struct qemu *q, struct vm *vm, int *ret_err_fd,
	struct err *err)
{
	bool kvm = !strcmp(c->accel, "kvm");
	int r;

	if (c->nr_slots > VM_SLOTS_MAX)
		return err_text(err, -E2BIG, "%u disks: at most %d fit one VM", c->nr_slots, VM_SLOTS_MAX);
	arg(l, "%s", q->path);
	arg(l, "-name");
	arg(l, "pluck");
	add_machine(l, c, kvm);
	add_devices(l, c);
	add_kernel_args(l, c, kvm);
	r = add_console(l, vm, ret_err_fd, err);
	if (r == 0)
		r = add_files(l, c, err);
	if (r == 0 && l->error)
		r = err_set(err, l->error, "command line of QEMU");
	return r;
}

/* From outside, where there is a way to; a host without one has the jail's own limits. */
static void set_limits(struct vm *vm, const struct vm_config *c, struct jail *j)
{
	const struct cgroup_limits l = { .memory_bytes = ((uint64_t)c->memory_mib + VM_SLACK_MIB) << 20, .tasks = VM_TASKS };
	struct err no_group = ERR_INIT, no_scope = ERR_INIT;
	uid_t uid;
	gid_t gid;

	vm_jail_user(&uid, &gid);
	if (cgroup_new(&l, &vm->cgroup, &no_group) == 0) {
		j->cgroup = vm->cgroup;
		(void)snprintf(vm->limits, sizeof(vm->limits), "%s", cgroup_text(vm->cgroup));
	} else if (c->reduced_jail) {
		(void)snprintf(vm->limits, sizeof(vm->limits), "none (%.120s)", no_group.text);
	} else if (scope_new(&l, uid, gid, &vm->scope, &no_scope) == 0) {
		j->scope = vm->scope;
		(void)snprintf(vm->limits, sizeof(vm->limits), "%s", vm->scope->text);
	} else {
		(void)snprintf(vm->limits, sizeof(vm->limits), "none (%.120s; %.120s)", no_group.text, no_scope.text);
	}
}

int vm_start(const struct vm_config *c, struct vm **ret, struct err *err)
{
	CLEANUP(vm_freep) struct vm *vm = calloc(1, sizeof(*vm));
	CLEANUP(launch_clear) struct launch l = { .nr_args = 0 };
	CLEANUP(qemu_freep) struct qemu *q = NULL;
	CLEANUP_CLOSE int err_fd = -1;
	struct jail j = { .kvm = !strcmp(c->accel, "kvm"), .reduced = c->reduced_jail, .memory_mib = c->memory_mib };
	int r;

	if (!vm)
		return err_set(err, -ENOMEM, "start QEMU");
	vm->pidfd = vm->life_fd = -1;
	r = qemu_find(&q, err);
	if (r == 0)
		r = build(&l, c, q, vm, &err_fd, err);
	if (r < 0)
		return r;
	j.qemu = q;
	j.argv = l.argv;
	j.fds = l.fds;
	j.nr_fds = l.nr_fds;
	j.err_fd = err_fd;
	set_limits(vm, c, &j);
	r = jail_start(&j, &vm->pid, &vm->life_fd, err);
	if (r < 0)
		return r;
	if (r > 0)
		(void)snprintf(vm->limits, sizeof(vm->limits), "none (QEMU could not be put into its control group)");
	log_debug("limits of QEMU from outside: %s", vm->limits);
	vm->pidfd = (int)syscall(SYS_pidfd_open, vm->pid, 0);
	if (vm->pidfd < 0)
		return err_set(err, -errno, "watch QEMU");
	*ret = TAKE_PTR(vm);
	return 0;
}

int vm_console_fd(const struct vm *vm)
{
	return console_fd(vm->console);
}

int vm_console_read(struct vm *vm)
{
	(void)console_read(vm->errors);
	return console_read(vm->console);
}

const struct console *vm_console(const struct vm *vm)
{
	return vm->console;
}

size_t vm_console_tail(const struct vm *vm, char *ret, size_t room)
{
	return console_tail(vm->console, ret, room);
}

int vm_exit_fd(const struct vm *vm)
{
	return vm->pidfd;
}

static void reap(struct vm *vm, int flags)
{
	pid_t r;

	if (vm->reaped || vm->pid <= 0)
		return;
	do
		r = waitpid(vm->pid, &vm->status, flags);
	while (r < 0 && errno == EINTR);
	vm->reaped = r != 0;
}

/* What killed it, as we or bubblewrap saw it; 0: it ended by itself. */
static int signal_of(const struct vm *vm)
{
	if (!vm->reaped || vm->pid <= 0)
		return 0;
	if (WIFSIGNALED(vm->status))
		return WTERMSIG(vm->status);
	return WEXITSTATUS(vm->status) > 128 ? WEXITSTATUS(vm->status) - 128 : 0;
}

bool vm_was_killed(const struct vm *vm)
{
	return !vm->ran_out && (signal_of(vm) == SIGKILL || signal_of(vm) == SIGTERM);
}

const char *vm_limits(const struct vm *vm)
{
	return vm->limits;
}

size_t vm_reason(struct vm *vm, char *ret, size_t room)
{
	char text[2048];
	size_t at;
	int n;

	reap(vm, WNOHANG);
	(void)vm_console_read(vm);
	vm->ran_out = vm->reaped && vm->cgroup && cgroup_ran_out(vm->cgroup);
	if (!vm->reaped)
		n = snprintf(ret, room, "QEMU is running");
	else if (vm->ran_out)
		n = snprintf(ret, room, "QEMU wanted more memory than its %s", vm->limits);
	else if (signal_of(vm))
		n = snprintf(ret, room, "QEMU was killed by signal %d", signal_of(vm));
	else
		n = snprintf(ret, room, "QEMU ended with status %d", WEXITSTATUS(vm->status));
	at = n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
	if (console_tail(vm->errors, text, 400)) {
		const char *hint = jail_hint(text);

		n = snprintf(ret + at, room - at, "; it said:\n%s%s", text, hint);
		at += n < 0 ? 0 : (size_t)n < room - at ? (size_t)n : room - at - 1;
	}
	if (console_signs(vm->console, text, 600) || console_tail(vm->console, text, 600)) {
		n = snprintf(ret + at, room - at, "%sconsole of the VM:\n%s", ret[at - 1] == '\n' ? "" : "; ", text);
		at += n < 0 ? 0 : (size_t)n < room - at ? (size_t)n : room - at - 1;
	}
	while (at && ret[at - 1] == '\n')
		ret[--at] = 0;
	/* A QEMU that never came as far as a guest may lack a library that is new to it. */
	if (vm->reaped && !console_total(vm->console))
		qemu_forget();
	return at;
}

/* The warden ends all of the jail. If it does not, being stopped, bubblewrap dies with it. */
static void end(struct vm *vm)
{
	struct pollfd pfd = { .fd = vm->pidfd, .events = POLLIN };
	bool asked = vm->life_fd >= 0 && vm->pidfd >= 0;

	if (vm->life_fd >= 0)
		(void)close(vm->life_fd);
	vm->life_fd = -1;
	if (vm->reaped)
		return;
	if (!asked || poll(&pfd, 1, VM_GONE_MS) != 1)
		(void)kill(vm->pid, SIGKILL);
	reap(vm, 0);
}

/* bubblewrap's process is gone before those in its namespace are: the console ends when the last of them has. */
static void await_console_end(struct vm *vm)
{
	struct pollfd pfd = { .fd = console_fd(vm->console), .events = POLLIN };

	for (int i = 0; i < 64 && console_read(vm->console) == 1; i++)
		if (poll(&pfd, 1, VM_GONE_MS) != 1)
			return;
}

void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	if (vm->pid > 0) {
		end(vm);
		await_console_end(vm);
	}
	cgroup_free(vm->cgroup);
	scope_free(vm->scope);
	console_free(vm->console);
	console_free(vm->errors);
	if (vm->pidfd >= 0)
		(void)close(vm->pidfd);
	free(vm);
}
