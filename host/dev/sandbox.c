/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/dev/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/sanitized.h"

#define FILES_MAX 1024		/* clients, kick and call descriptors, sockets */

int sandbox_early(int link_fd, struct err *err)
{
	const struct rlimit no_core = { 0, 0 };
	struct rlimit files = { FILES_MAX, FILES_MAX };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || (!SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0))
		return err_set(err, -errno, "prctl");
	if ((link_fd > 3 && close_range(3, (unsigned int)link_fd - 1, 0) < 0) ||
	    close_range((unsigned int)link_fd + 1, ~0u, 0) < 0)
		return err_set(err, -errno, "close_range");
	if (setrlimit(RLIMIT_CORE, &no_core) < 0)
		return err_set(err, -errno, "setrlimit");
	if (setrlimit(RLIMIT_NOFILE, &files) < 0 && errno != EPERM)
		return err_set(err, -errno, "setrlimit");
	return 0;
}

static const int allowed[] = {
	/* data */
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(preadv), SCMP_SYS(preadv2), SCMP_SYS(sendmsg), SCMP_SYS(sendto),
	SCMP_SYS(recvmsg), SCMP_SYS(shutdown), SCMP_SYS(close), SCMP_SYS(getsockopt), SCMP_SYS(fstat),
	/* the loop */
	SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl), SCMP_SYS(poll), SCMP_SYS(futex),
	/* memory of our own */
	SCMP_SYS(munmap), SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(mremap),
	/* the C library and the end */
	SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(restart_syscall), SCMP_SYS(getrandom), SCMP_SYS(getpid),
	SCMP_SYS(gettid), SCMP_SYS(tgkill), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(clock_gettime),
	SCMP_SYS(sched_yield),
};

static int add_rules(scmp_filter_ctx ctx)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(allowed) / sizeof(*allowed); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	/* memory that is never executable; descriptor flags; the stat of a descriptor, not of a path */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1(SCMP_CMP_EQ, F_GETFL));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1(SCMP_CMP_EQ, F_SETFL));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1, SCMP_A3(SCMP_CMP_EQ, AT_EMPTY_PATH));
	return r;
}

int sandbox_enter(uint64_t mapped, struct err *err)
{
	const struct rlimit space = { mapped + SANDBOX_SLACK_BYTES, mapped + SANDBOX_SLACK_BYTES };
	scmp_filter_ctx ctx;
	int r;

	if (SANITIZED)
		return 0;
	/* One that is lower already stays. */
	if (setrlimit(RLIMIT_AS, &space) < 0 && errno != EPERM)
		return err_set(err, -errno, "setrlimit");
	ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!ctx)
		return err_set(err, -ENOMEM, "seccomp");
	r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = add_rules(ctx);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r < 0 ? err_set(err, r, "seccomp") : 0;
}
