/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LD_PRELOAD library that makes one call fail, for tests/functional/fault.t.
 *
 * FAULT_WHO	only in processes whose first argument is this ("extract", "__session")
 * FAULT_CALL	the function: malloc, read, openat, ...
 * FAULT_N	which call of it fails, from 1 on
 * FAULT_MARK	a file that is made when it happens
 *
 * Calls out of libcrypto do not count: it crashes when its own initialisation runs out of memory.
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

static const char *call, *mark;
static long which, seen;
static bool active;
static uintptr_t crypto, crypto_end;

static int find_crypto(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	for (int i = 0; strstr(info->dlpi_name, "libcrypto") && i < info->dlpi_phnum; i++) {
		const uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, end = begin + info->dlpi_phdr[i].p_memsz;

		if (info->dlpi_phdr[i].p_type != PT_LOAD)
			continue;
		crypto = crypto && crypto < begin ? crypto : begin;
		crypto_end = crypto_end > end ? crypto_end : end;
	}
	return 0;
}

__attribute__((constructor)) static void begin(int argc, char **argv)
{
	const char *who = getenv("FAULT_WHO"), *n = getenv("FAULT_N");

	call = getenv("FAULT_CALL");
	mark = getenv("FAULT_MARK");
	which = n ? atol(n) : 0;
	(void)dl_iterate_phdr(find_crypto, NULL);
	active = who && call && argc > 1 && !strcmp(argv[1], who);
}

/* Is this the call that fails? */
static bool hit_from(const char *name, uintptr_t caller)
{
	if (!active || (caller >= crypto && caller < crypto_end) || strcmp(name, call) != 0 || __atomic_add_fetch(&seen, 1, __ATOMIC_RELAXED) != which)
		return false;
	if (mark)
		(void)syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
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
