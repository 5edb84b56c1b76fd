/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/dev/blk/blk.h"

#include <errno.h>
#include <linux/virtio_blk.h>

#include "common/io.h"

/* Reads in the loop only what the kernel has at hand, and not too much of it. */
#define AT_ONCE_MAX (1u << 20)

/* Bytes of the request that the source has; what is behind its end reads as zeros. */
static size_t in_source(const struct blk_req *q)
{
	uint64_t size = q->b->size_bytes;

	return q->off >= size ? 0 : q->len < size - q->off ? q->len : (size_t)(size - q->off);
}

/* Return: 0 when all is read; -EAGAIN with RWF_NOWAIT; -ENODATA if the source has shrunk; negative errno. */
static int read_on(struct blk_req *q, int flags)
{
	size_t want = in_source(q);

	while (q->done < want) {
		struct iovec iov[VIRTQ_CHAIN_MAX];
		size_t nr = vu_iov_slice(q->iov, q->nr_iov, q->done, want - q->done, iov);
		ssize_t n = preadv2(q->b->fd, iov, (int)nr, (off_t)(q->off + q->done), flags);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		q->done += (size_t)n;
	}
	(void)vu_iov_zero(q->iov, q->nr_iov, want, q->len - want);
	return 0;
}

static void finish(struct blk_req *q, int code)
{
	struct link_msg m = { .type = LINK_IOERR, .slot = q->b->slot };

	if (code < 0 && uplink_has_room(q->b->sh->up)) {
		m.ioerr.off = q->off + q->done;
		m.ioerr.len = q->len - q->done;
		m.ioerr.code = code;
		uplink_send(q->b->sh->up, &m);
	}
	blk_complete(q, code < 0 ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
}

static struct blk_req *of_job(struct pool_job *j)
{
	return (struct blk_req *)(void *)((char *)j - offsetof(struct blk_req, job));
}

static void job_run(struct pool_job *j)
{
	struct blk_req *q = of_job(j);

	q->code = read_on(q, 0);
}

static void job_done(struct pool_job *j)
{
	struct blk_req *q = of_job(j);

	finish(q, q->code);
}

void blk_raw_read(struct blk_req *q)
{
	int r = -EAGAIN;

	if (q->len <= AT_ONCE_MAX && !q->b->no_nowait)
		r = read_on(q, RWF_NOWAIT);
	if (r == -EOPNOTSUPP || r == -EINVAL)
		q->b->no_nowait = true;
	if (r == 0 || (r != -EAGAIN && !q->b->no_nowait)) {
		finish(q, r);
		return;
	}
	q->job = (struct pool_job){ .run = job_run, .done = job_done };
	pool_submit(q->b->pool, &q->job);
}
