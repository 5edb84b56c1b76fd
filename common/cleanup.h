/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_CLEANUP_H
#define COMMON_CLEANUP_H

/*
 * Scope cleanup: a variable marked so is released when it goes out of scope.
 * Every such variable is initialised where it is declared; ownership is handed
 * over with TAKE_PTR or TAKE_FD.
 */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define CLEANUP_FREE CLEANUP(cleanup_freep)
#define CLEANUP_CLOSE CLEANUP(cleanup_closep)
#define CLEANUP_FILE CLEANUP(cleanup_fclosep)
#define CLEANUP_DIR CLEANUP(cleanup_closedirp)

/* The value of a pointer or descriptor variable, which is emptied. */
#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) *take_pp = &(p);                                                     \
		__typeof__(p) take_p = *take_pp;                                                   \
		*take_pp = NULL;                                                                   \
		take_p;                                                                            \
	})
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int *take_fdp = &(fd);                                                             \
		int take_fd = *take_fdp;                                                           \
		*take_fdp = -1;                                                                    \
		take_fd;                                                                           \
	})

/* Makes the function that CLEANUP(x_freep) calls out of x_free(). */
#define CLEANUP_DEFINE(type, fn)                                                                   \
	static inline void fn##p(type *p)                                                          \
	{                                                                                          \
		if (*p)                                                                            \
			fn(*p);                                                                    \
	}

static inline void cleanup_freep(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_closep(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static inline void cleanup_fclosep(FILE **f)
{
	if (*f)
		(void)fclose(*f);
}

static inline void cleanup_closedirp(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

#endif
