/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/spool_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"

static int file = -1;
static atomic_uint_fast64_t taken;	/* blocks */
static atomic_bool tried;
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

static void open_file(void)
{
	const char *dir = getenv("TMPDIR");
	char name[4096];

	if (file >= 0)
		return;
	dir = dir && *dir ? dir : "/var/tmp";
	file = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (file < 0 && snprintf(name, sizeof(name), "%s/pluck-XXXXXX", dir) < (int)sizeof(name)) {
		file = mkostemp(name, O_CLOEXEC);
		if (file >= 0)
			(void)unlink(name);
	}
	if (file < 0)
		log_debug("no temporary file in '%s', large tables stay in memory: %s", dir, strerror(errno));
}

void spool_file_prepare(void)
{
	(void)pthread_mutex_lock(&opening);
	open_file();
	atomic_store(&tried, true);
	(void)pthread_mutex_unlock(&opening);
}

bool spool_file_has(void)
{
	if (!atomic_load(&tried))
		spool_file_prepare();
	return file >= 0;
}

int spool_file_write(uint64_t off, const uint8_t *p, size_t len)
{
	for (size_t done = 0; done < len;) {
		const ssize_t n = pwrite(file, p + done, len - done, (off_t)(off + done));

		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* What lies beyond the end of the file was never written: zeros. */
int spool_file_read(uint64_t off, uint8_t *p, size_t len)
{
	while (len) {
		const ssize_t n = pread(file, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) {
			memset(p, 0, len);
			return 0;
		}
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

uint64_t spool_file_take(uint64_t len)
{
	return atomic_fetch_add(&taken, (len + SPOOL_BLOCK - 1) / SPOOL_BLOCK) * SPOOL_BLOCK;
}

const void *spool_file_map(uint64_t off, size_t len)
{
	void *p = mmap(NULL, len, PROT_READ, MAP_SHARED, file, (off_t)off);

	return p == MAP_FAILED ? NULL : p;
}
