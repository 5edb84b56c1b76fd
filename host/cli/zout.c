/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/zout.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <zstd.h>

#include "common/io.h"

#define LEVEL 3
#define BLOCK (128u << 10)

struct zout {
	int out, in[2];		/* in: pipe, -1 without compression */
	pthread_t thread;
	ZSTD_CCtx *ctx;
	char *src, *dst;	/* BLOCK bytes each */
	atomic_bool whole;
	int error;		/* the thread's, after it ended */
};

static int compress_some(struct zout *z, size_t n, ZSTD_EndDirective how)
{
	ZSTD_inBuffer in = { z->src, n, 0 };
	size_t left;

	do {
		ZSTD_outBuffer out = { z->dst, BLOCK, 0 };
		int r;

		left = ZSTD_compressStream2(z->ctx, &out, &in, how);
		if (ZSTD_isError(left))
			return -EIO;
		r = io_write_full(z->out, z->dst, out.pos);
		if (r < 0)
			return r;
	} while (in.pos < in.size || (how != ZSTD_e_continue && left));
	return 0;
}

static void *run(void *arg)
{
	struct zout *z = arg;
	ssize_t n;

	do {
		n = read(z->in[0], z->src, BLOCK);
		if (n > 0)
			z->error = compress_some(z, (size_t)n, ZSTD_e_continue);
	} while ((n > 0 || (n < 0 && errno == EINTR)) && z->error == 0);
	if (z->error == 0)
		z->error = compress_some(z, 0, atomic_load(&z->whole) ? ZSTD_e_end : ZSTD_e_flush);
	(void)close(z->in[0]);		/* a writer gets EPIPE from now on */
	return NULL;
}

static void zout_free(struct zout *z)
{
	(void)ZSTD_freeCCtx(z->ctx);
	free(z->src);
	free(z->dst);
	free(z);
}

static int start(struct zout *z, struct err *err)
{
	sigset_t all, old;
	int r;

	z->ctx = ZSTD_createCCtx();
	z->src = malloc(BLOCK);
	z->dst = malloc(BLOCK);
	if (!z->ctx || !z->src || !z->dst ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(z->ctx, ZSTD_c_compressionLevel, LEVEL)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(z->ctx, ZSTD_c_checksumFlag, 1)))
		return err_set(err, -ENOMEM, "zstd");
	if (pipe2(z->in, O_CLOEXEC) < 0)
		return err_set(err, -errno, "pipe");
	(void)sigfillset(&all);
	(void)sigdelset(&all, SIGSYS);	/* so that a forbidden call is told (host/confine) */
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&z->thread, NULL, run, z);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r) {
		(void)close(z->in[0]);
		(void)close(z->in[1]);
		return err_set(err, -r, "thread");
	}
	return 0;
}

int zout_open(int fd, bool compress, struct zout **ret, int *ret_fd, struct err *err)
{
	struct zout *z = calloc(1, sizeof(*z));
	int r;

	if (!z)
		return err_set(err, -ENOMEM, "output");
	z->out = fd;
	z->in[0] = z->in[1] = -1;
	r = compress ? start(z, err) : 0;
	if (r < 0) {
		zout_free(z);
		return r;
	}
	*ret_fd = compress ? z->in[1] : fd;
	*ret = z;
	return 0;
}

int zout_close(struct zout *z, bool whole, struct err *err)
{
	int r = 0;

	if (z->in[1] >= 0) {
		atomic_store(&z->whole, whole);
		(void)close(z->in[1]);
		(void)pthread_join(z->thread, NULL);
		r = z->error;
	}
	zout_free(z);
	return r < 0 ? err_set(err, r, "write to standard output") : 0;
}
