/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_IO_H
#define COMMON_IO_H

/* Whole reads and writes, and descriptors over unix sockets. EINTR is retried everywhere. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define IO_FDS_MAX 64		/* descriptors in one message */

/** io_read_full() - read exactly @n bytes. Return: 0; -ENODATA at an early end; negative errno. */
int io_read_full(int fd, void *p, size_t n);

/** io_pread_full() - the same at an offset. */
int io_pread_full(int fd, void *p, size_t n, uint64_t off);

/** io_write_full() - write all @n bytes. Return: 0; negative errno (-EPIPE without a signal if SIGPIPE is ignored). */
int io_write_full(int fd, const void *p, size_t n);

/**
 * io_read_file() - a small file as a whole
 * @dirfd, @name: as openat()
 * @max: the largest size accepted; more is -EFBIG
 * @ret, @ret_len: malloc'ed contents with a NUL behind them
 * Return: 0 or negative errno.
 */
int io_read_file(int dirfd, const char *name, size_t max, char **ret, size_t *ret_len);

/**
 * io_send_msg() - one message with descriptors
 * @fd:  a unix socket; for SOCK_STREAM the caller must know that @n is sent at once
 * @fds: @nr_fds descriptors, borrowed, at most IO_FDS_MAX
 * Return: 0; negative errno.
 */
int io_send_msg(int fd, const void *p, size_t n, const int *fds, size_t nr_fds);

/**
 * io_recv_msg() - one message with descriptors
 * @max: room at @p;  @max_fds: room at @ret_fds
 * @ret_fds: the received descriptors, close-on-exec, now the caller's
 * Return: bytes received, 0 at the end of the stream, negative errno; -EMSGSIZE if data
 * or descriptors were cut (all received descriptors are closed on any error).
 */
ssize_t io_recv_msg(int fd, void *p, size_t max, int *ret_fds, size_t max_fds, size_t *ret_nr_fds);

/** io_set_nonblock() - Return: 0; negative errno. */
int io_set_nonblock(int fd);

#endif
