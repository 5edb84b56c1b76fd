/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/confine/confine.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/sanitized.h"
#include "host/confine/priv.h"

enum kind { KIND_OURS, KIND_JAIL };

static const int never[] = {
	/* other processes */
	SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(kcmp), SCMP_SYS(pidfd_getfd),
	SCMP_SYS(process_madvise), SCMP_SYS(move_pages), SCMP_SYS(migrate_pages),
	/* namespaces and mounts */
	SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot),
	SCMP_SYS(open_tree), SCMP_SYS(move_mount), SCMP_SYS(fsopen), SCMP_SYS(fsconfig), SCMP_SYS(fsmount), SCMP_SYS(fspick),
	SCMP_SYS(mount_setattr), SCMP_SYS(open_by_handle_at), SCMP_SYS(name_to_handle_at),
	/* sides of the kernel that are large and that we do not need */
	SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register), SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl), SCMP_SYS(fanotify_init),
	SCMP_SYS(lookup_dcookie), SCMP_SYS(nfsservctl), SCMP_SYS(uselib), SCMP_SYS(vmsplice), SCMP_SYS(modify_ldt),
	/* the machine */
	SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load), SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(acct), SCMP_SYS(quotactl),
	SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(adjtimex),
	SCMP_SYS(clock_adjtime), SCMP_SYS(sethostname), SCMP_SYS(setdomainname), SCMP_SYS(syslog), SCMP_SYS(vhangup),
	/* more processes */
	SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(execveat),
};

/*
 * QEMU gets all it needs by descriptor. Its own exec comes after the filter, so that execve stays: the jail holds no program but
 * QEMU itself and the loader.
 */
static const int never_in_jail[] = {
	SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen),
	/* memory that no limit of the process counts */
	SCMP_SYS(memfd_create), SCMP_SYS(memfd_secret), SCMP_SYS(shmget), SCMP_SYS(shmat), SCMP_SYS(shmctl), SCMP_SYS(semget),
	SCMP_SYS(msgget), SCMP_SYS(mq_open),
	/* others, where there is no namespace around it */
	SCMP_SYS(kill), SCMP_SYS(tkill), SCMP_SYS(rt_sigqueueinfo), SCMP_SYS(rt_tgsigqueueinfo), SCMP_SYS(pidfd_open),
	SCMP_SYS(pidfd_send_signal), SCMP_SYS(mknod), SCMP_SYS(mknodat),
};

static int deny(scmp_filter_ctx ctx, uint32_t action, const int *calls, size_t nr)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < nr; i++)
		r = seccomp_rule_add(ctx, action, calls[i], 0);
	return r;
}

static int add_rules(scmp_filter_ctx ctx, enum kind kind, uint32_t action)
{
	int r = deny(ctx, action, never, sizeof(never) / sizeof(*never));

	/* Threads, but no processes. The flags of clone3 are in memory, where no filter sees them: the C library falls back to clone. */
	if (r == 0)
		r = seccomp_rule_add(ctx, action, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (r < 0)
		return r;
	if (kind == KIND_JAIL) {
		r = deny(ctx, action, never_in_jail, sizeof(never_in_jail) / sizeof(*never_in_jail));
		if (r == 0)
			r = seccomp_rule_add(ctx, action, SCMP_SYS(prlimit64), 1, SCMP_A0_32(SCMP_CMP_NE, 0));
		return r;
	}
	r = seccomp_rule_add(ctx, action, SCMP_SYS(execve), 0);
	if (r == 0)
		r = seccomp_rule_add(ctx, action, SCMP_SYS(socket), 1, SCMP_A0_32(SCMP_CMP_NE, AF_UNIX));
	return r;
}

static int make(enum kind kind, scmp_filter_ctx *ret)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (!ctx)
		return -ENOMEM;
	r = add_rules(ctx, kind, kind == KIND_JAIL ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_TRAP);
	if (r < 0) {
		seccomp_release(ctx);
		return r;
	}
	*ret = ctx;
	return 0;
}

/* In whichever thread made the call. The signal is blocked here: it comes again, and ends us, when this returns. */
static void on_trap(int sig, siginfo_t *si, void *context)
{
	static const char before[] = "pluck: sandbox: system call ", after[] = " is not allowed\n";
	char text[sizeof(before) + sizeof(after) + 16], digits[12];
	unsigned int nr = (unsigned int)si->si_syscall;
	size_t len = sizeof(before) - 1, n = 0;

	(void)context;
	memcpy(text, before, len);
	do
		digits[n++] = (char)('0' + nr % 10);
	while ((nr /= 10) && n < sizeof(digits));
	while (n)
		text[len++] = digits[--n];
	memcpy(text + len, after, sizeof(after) - 1);
	(void)!write(STDERR_FILENO, text, len + sizeof(after) - 1);
	(void)signal(sig, SIG_DFL);
	(void)raise(sig);
}

static int watch_traps(void)
{
	struct sigaction sa = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	sigset_t set;

	(void)sigemptyset(&sa.sa_mask);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGSYS);
	if (sigaction(SIGSYS, &sa, NULL) < 0)
		return -errno;
	return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int confine_calls(struct err *err)
{
	scmp_filter_ctx ctx = NULL;
	int r;

	if (SANITIZED)
		return 0;
	r = watch_traps();
	if (r == 0)
		r = make(KIND_OURS, &ctx);
	if (r < 0)
		return err_set(err, r, "seccomp");
	r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r < 0 ? err_set(err, r, "seccomp") : 0;
}

int confine_session(struct err *err)
{
	return confine_calls(err);
}

int confine_jail_program(struct err *err)
{
	CLEANUP_CLOSE int fd = memfd_create("filter", MFD_CLOEXEC);
	scmp_filter_ctx ctx = NULL;
	int r;

	if (fd < 0)
		return err_set(err, -errno, "seccomp");
	r = make(KIND_JAIL, &ctx);
	if (r < 0)
		return err_set(err, r, "seccomp");
	r = seccomp_export_bpf(ctx, fd);
	seccomp_release(ctx);
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	return r < 0 ? err_set(err, r, "seccomp") : TAKE_FD(fd);
}

int confine_jail_enter(void)
{
	scmp_filter_ctx ctx = NULL;
	int r = make(KIND_JAIL, &ctx);

	if (r < 0)
		return r;
	r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(tgkill), 1, SCMP_A0_32(SCMP_CMP_NE, (uint32_t)getpid()));
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r;
}
