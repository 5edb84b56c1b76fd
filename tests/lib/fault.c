/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LD_PRELOAD library that makes one call fail, for tests/functional/fault.t.
 *
 * FAULT_WHO	only in processes whose first argument is this ("extract", "__session")
 * FAULT_CALL	the function: malloc, read, openat, ...
 * FAULT_N	which call of it fails, from 1 on
 * FAULT_MARK	a file that gets a byte when it happens
 *
 * Calls out of libcrypto and libseccomp do not count: without memory the one crashes and the other loops.
 * The functions keep their several names (open64, __read_chk) since the program calls those.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t a, size_t b);
void *__libc_realloc(void *p, size_t n);

#define MARK_FD 200

static const char *call;
static long which, seen;
static bool active;
#define RANGES_MAX 32
static struct {
	uintptr_t begin, end;
} foreign[RANGES_MAX];
static int nr_foreign;

static int find_foreign(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	if (!strstr(info->dlpi_name, "libcrypto") && !strstr(info->dlpi_name, "libseccomp"))
		return 0;
	for (int i = 0; i < info->dlpi_phnum && nr_foreign < RANGES_MAX; i++) {
		const uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;

		if (info->dlpi_phdr[i].p_type != PT_LOAD)
			continue;
		foreign[nr_foreign].begin = begin;
		foreign[nr_foreign++].end = begin + info->dlpi_phdr[i].p_memsz;
	}
	return 0;
}

static bool is_foreign(uintptr_t caller)
{
	for (int i = 0; i < nr_foreign; i++)
		if (caller >= foreign[i].begin && caller < foreign[i].end)
			return true;
	return false;
}

__attribute__((constructor)) static void begin(int argc, char **argv)
{
	const char *who = getenv("FAULT_WHO"), *n = getenv("FAULT_N"), *mark = getenv("FAULT_MARK");

	call = getenv("FAULT_CALL");
	which = n ? atol(n) : 0;
	(void)dl_iterate_phdr(find_foreign, NULL);
	active = who && call && argc > 1 && !strcmp(argv[1], who);
	if (active && mark) {	/* now: the command confines itself later */
		long fd = syscall(SYS_openat, AT_FDCWD, mark, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		(void)syscall(SYS_dup3, fd, MARK_FD, O_CLOEXEC);
		(void)syscall(SYS_close, fd);
	}
}

/* Is this the call that fails? */
static bool hit_from(const char *name, uintptr_t caller)
{
	if (!active || is_foreign(caller) || strcmp(name, call) != 0 || __atomic_add_fetch(&seen, 1, __ATOMIC_RELAXED) != which)
		return false;
	(void)syscall(SYS_write, MARK_FD, "x", 1);
	return true;
}

#define hit(name) hit_from(name, (uintptr_t)__builtin_return_address(0))

static void *real(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

void *malloc(size_t n)
{
	if (hit("malloc")) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_malloc(n);
}

void *calloc(size_t a, size_t b)
{
	if (hit("calloc")) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_calloc(a, b);
}

void *realloc(void *p, size_t n)
{
	if (hit("realloc")) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_realloc(p, n);
}

void *reallocarray(void *p, size_t a, size_t b)
{
	size_t n;

	if (__builtin_mul_overflow(a, b, &n) || hit("realloc")) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_realloc(p, n);
}

/* NAME, as the real function of the same name; the fault is that of GROUP. */
#define WRAP(type, name, group, error, params, args)		\
	type name params;					\
	type name params					\
	{							\
		static type (*fn) params;			\
								\
		if (hit(group)) {				\
			errno = (error);			\
			return (type)-1;			\
		}						\
		if (!fn)					\
			fn = (type (*) params)real(#name);	\
		return fn args;					\
	}

WRAP(ssize_t, read, "read", EIO, (int fd, void *p, size_t n), (fd, p, n))
WRAP(ssize_t, __read_chk, "read", EIO, (int fd, void *p, size_t n, size_t room), (fd, p, n, room))
WRAP(ssize_t, pread, "pread", EIO, (int fd, void *p, size_t n, off_t off), (fd, p, n, off))
WRAP(ssize_t, pread64, "pread", EIO, (int fd, void *p, size_t n, off_t off), (fd, p, n, off))
WRAP(ssize_t, __pread64_chk, "pread", EIO, (int fd, void *p, size_t n, off_t off, size_t room), (fd, p, n, off, room))
WRAP(ssize_t, write, "write", ENOSPC, (int fd, const void *p, size_t n), (fd, p, n))
WRAP(ssize_t, pwrite, "pwrite", ENOSPC, (int fd, const void *p, size_t n, off_t off), (fd, p, n, off))
WRAP(ssize_t, pwrite64, "pwrite", ENOSPC, (int fd, const void *p, size_t n, off_t off), (fd, p, n, off))
WRAP(ssize_t, send, "send", EPIPE, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags))
WRAP(ssize_t, recv, "recv", ECONNRESET, (int fd, void *p, size_t n, int flags), (fd, p, n, flags))
WRAP(int, fsync, "fsync", EIO, (int fd), (fd))
WRAP(int, ftruncate, "ftruncate", ENOSPC, (int fd, off_t n), (fd, n))
WRAP(int, ftruncate64, "ftruncate", ENOSPC, (int fd, off_t n), (fd, n))
WRAP(int, mkdirat, "mkdirat", ENOSPC, (int d, const char *p, mode_t m), (d, p, m))
WRAP(int, symlinkat, "symlinkat", ENOSPC, (const char *t, int d, const char *p), (t, d, p))
WRAP(int, fchmod, "fchmod", EPERM, (int fd, mode_t m), (fd, m))
WRAP(int, rename, "rename", ENOSPC, (const char *a, const char *b), (a, b))
WRAP(int, renameat, "rename", ENOSPC, (int x, const char *a, int y, const char *b), (x, a, y, b))
WRAP(int, renameat2, "rename", ENOSPC, (int x, const char *a, int y, const char *b, unsigned int f), (x, a, y, b, f))
WRAP(int, linkat, "linkat", EMLINK, (int x, const char *a, int y, const char *b, int f), (x, a, y, b, f))
WRAP(pid_t, fork, "fork", EAGAIN, (void), ())
WRAP(void *, mmap, "mmap", ENOMEM, (void *p, size_t n, int prot, int flags, int fd, off_t off), (p, n, prot, flags, fd, off))
WRAP(void *, mmap64, "mmap", ENOMEM, (void *p, size_t n, int prot, int flags, int fd, off_t off), (p, n, prot, flags, fd, off))

static int open_real(const char *group, int dir, const char *path, int flags, va_list ap)
{
	mode_t mode = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, mode_t) : 0;

	if (hit(group)) {
		errno = EMFILE;
		return -1;
	}
	return (int)syscall(SYS_openat, dir, path, flags, mode);
}

#define OPENAT(name)						\
	int name(int dir, const char *path, int flags, ...);	\
	int name(int dir, const char *path, int flags, ...)	\
	{							\
		va_list ap;					\
		int r;						\
								\
		va_start(ap, flags);				\
		r = open_real("openat", dir, path, flags, ap);	\
		va_end(ap);					\
		return r;					\
	}
#define OPEN(name)						\
	int name(const char *path, int flags, ...);		\
	int name(const char *path, int flags, ...)		\
	{							\
		va_list ap;					\
		int r;						\
								\
		va_start(ap, flags);				\
		r = open_real("open", AT_FDCWD, path, flags, ap);	\
		va_end(ap);					\
		return r;					\
	}

OPENAT(openat)
OPENAT(openat64)
OPEN(open)
OPEN(open64)
