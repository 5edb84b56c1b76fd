/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/vm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "host/vm/cachefile.h"

#if defined(__x86_64__)
#include <linux/kvm.h>

#define PROBE_MEM (2u << 20)
#define PROBE_PML4 0x1000
#define PROBE_PDPT 0x2000
#define PROBE_PD 0x3000
#define PROBE_CODE 0x4000
#define PROBE_CPU_NS 20000000	/* 20 ms: working KVM needs less than one */
#define PROBE_WALL_MS 2000

static const uint8_t probe_code[] = {
	0xb9, 0x40, 0x42, 0x0f, 0x00,	/* mov $1000000, %ecx */
	0xff, 0xc9,			/* 1: dec %ecx */
	0x75, 0xfc,			/* jnz 1b */
	0xe6, 0x10,			/* out %al, $0x10 */
	0xf4,				/* hlt */
};

static void on_timer(int sig)
{
	(void)sig;
}

/* Interrupts KVM_RUN when the processor time is used up, again and again should the first tick come too early. */
static int arm_timer(void)
{
	struct sigaction sa = { .sa_handler = on_timer };
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	struct itimerspec its = { .it_value.tv_nsec = PROBE_CPU_NS, .it_interval.tv_nsec = PROBE_CPU_NS };
	timer_t t;

	if (sigaction(SIGALRM, &sa, NULL) < 0 || timer_create(CLOCK_PROCESS_CPUTIME_ID, &ev, &t) < 0 ||
	    timer_settime(t, 0, &its, NULL) < 0)
		return -errno;
	return 0;
}

static void put_u64(uint8_t *mem, size_t at, uint64_t v)
{
	memcpy(mem + at, &v, sizeof(v));
}

static int set_long_mode(int vcpu)
{
	struct kvm_segment seg = { .limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1 };
	struct kvm_regs regs = { .rip = PROBE_CODE, .rflags = 2 };
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	sregs.cs = seg;
	seg.type = 3;
	seg.selector = 16;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = seg;
	sregs.cr3 = PROBE_PML4;
	sregs.cr4 = 0x20;		/* PAE */
	sregs.cr0 = 0x80050033;		/* PG, AM, WP, NE, ET, MP, PE */
	sregs.efer = 0x500;		/* LME, LMA */
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0 || ioctl(vcpu, KVM_SET_REGS, &regs) < 0)
		return -errno;
	return 0;
}

static int make_vcpu(int kvm, int *ret_vcpu)
{
	struct kvm_userspace_memory_region region = { .memory_size = PROBE_MEM };
	uint8_t *mem;
	int vm;

	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return -EOPNOTSUPP;
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		return -errno;
	mem = mmap(NULL, PROBE_MEM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return -errno;
	region.userspace_addr = (uintptr_t)mem;
	put_u64(mem, PROBE_PML4, PROBE_PDPT | 3);
	put_u64(mem, PROBE_PDPT, PROBE_PD | 3);
	put_u64(mem, PROBE_PD, 0x83);	/* one page of 2 MiB at 0 */
	memcpy(mem + PROBE_CODE, probe_code, sizeof(probe_code));
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return -errno;
	*ret_vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	return *ret_vcpu < 0 ? -errno : set_long_mode(*ret_vcpu);
}

/* In the child, which ends after it: nothing is released. */
static bool probe_here(void)
{
	struct kvm_run *run;
	int kvm, vcpu = -1, size;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0 || make_vcpu(kvm, &vcpu) < 0)
		return false;
	size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(*run))
		return false;
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED || arm_timer() < 0)
		return false;
	if (ioctl(vcpu, KVM_RUN, 0) < 0)
		return false;
	return run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_OUT && run->io.port == 0x10;
}

bool kvm_probe(void)
{
	CLEANUP_CLOSE int pidfd = -1;
	struct pollfd pfd = { .events = POLLIN };
	int status = 0;
	pid_t pid;

	pid = fork();
	if (pid < 0)
		return false;
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(probe_here() ? 0 : 1);
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	pfd.fd = pidfd;
	if (pidfd < 0 || poll(&pfd, 1, PROBE_WALL_MS) != 1)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void keep(const char *boot, bool ok)
{
	char line[64];

	(void)snprintf(line, sizeof(line), "%s %s\n", boot, ok ? "usable" : "unusable");
	(void)cachefile_write("kvm", line);
}

bool kvm_usable(void)
{
	CLEANUP_FREE char *kept = NULL;
	char boot[37];
	bool ok;

	if (access("/dev/kvm", R_OK | W_OK) < 0 || cachefile_boot_id(boot) < 0)
		return false;
	if (cachefile_read("kvm", &kept) == 0 && !strncmp(kept, boot, 36)) {
		if (!strcmp(kept + 36, " usable\n"))
			return true;
		if (!strcmp(kept + 36, " unusable\n"))
			return false;
	}
	ok = kvm_probe();
	keep(boot, ok);
	return ok;
}

void kvm_distrust(void)
{
	char boot[37];

	if (cachefile_boot_id(boot) == 0)
		keep(boot, false);
}
#else
bool kvm_probe(void)
{
	return false;
}

bool kvm_usable(void)
{
	return false;
}

void kvm_distrust(void)
{
}
#endif
