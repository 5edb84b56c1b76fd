/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/dev_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "common/io.h"

#define RAM_BYTES (128u << 20)
#define QEMU "qemu-system-x86_64"

const char *rig_why_not(void)
{
	if (access("build/vmlinux", R_OK) < 0)
		return "build/vmlinux is not built";
	if (system("command -v " QEMU " >/dev/null") != 0)
		return QEMU " is not installed";
	return NULL;
}

static void cpio_entry(FILE *f, const char *name, unsigned int mode, const void *p, size_t len)
{
	size_t n = strlen(name) + 1, pad;

	(void)fprintf(f, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x", 0u, mode, 0u, 0u, 1u, 0u, len, 0u, 0u, 0u, 0u,
		      n, 0u);
	(void)fwrite(name, 1, n, f);
	for (pad = (110 + n) % 4; pad && pad < 4; pad++)
		(void)fputc(0, f);
	(void)fwrite(p, 1, len, f);
	for (pad = len % 4; pad && pad < 4; pad++)
		(void)fputc(0, f);
}

static int make_initramfs(const char *path)
{
	char *data;
	size_t len;
	FILE *f;

	if (system("cc -static -O1 -o build/dev_guest tests/lib/dev_guest.c") != 0 ||
	    io_read_file(AT_FDCWD, "build/dev_guest", 64u << 20, &data, &len) < 0)
		return -1;
	f = fopen(path, "we");
	if (!f)
		return -1;
	cpio_entry(f, "dev", 040755, "", 0);
	cpio_entry(f, "sys", 040755, "", 0);
	cpio_entry(f, "init", 0100755, data, len);
	cpio_entry(f, "TRAILER!!!", 0, "", 0);
	free(data);
	return fclose(f);
}

static unsigned long tsc_khz(void)
{
	struct timespec a, b;
	uint64_t t = __rdtsc();
	int64_t ns;

	(void)clock_gettime(CLOCK_MONOTONIC_RAW, &a);
	do {
		(void)clock_gettime(CLOCK_MONOTONIC_RAW, &b);
		ns = (b.tv_sec - a.tv_sec) * 1000000000LL + (b.tv_nsec - a.tv_nsec);
	} while (ns < 20000000);
	return (unsigned long)((__rdtsc() - t) * 1000000 / (uint64_t)ns);
}

static void answer_want(struct rig *r, const struct link_msg *m)
{
	const struct rig_disk *d = &r->disk[m->slot];
	struct link_msg u = { .type = LINK_UNIT, .slot = m->slot };
	uint64_t off = m->want.unit * RIG_UNIT, n = off < d->size ? d->size - off : 0;

	if (n > RIG_UNIT)
		n = RIG_UNIT;
	u.unit.unit = m->want.unit;
	u.unit.cache_slot = m->want.cache_slot;
	u.unit.zero = true;
	if ((int64_t)m->want.unit == d->bad_unit)
		u.unit.code = -EIO;
	for (uint64_t i = 0; i < n && u.unit.zero; i++)
		u.unit.zero = !d->data[off + i];
	if (!u.unit.zero)
		memcpy(r->cache + (size_t)m->want.cache_slot * RIG_UNIT, d->data + off, n);
	(void)link_send(r->link, &u, NULL, 0);
}

static void *session(void *arg)
{
	struct rig *r = arg;
	struct link_msg m;

	while (link_recv(r->link, &m, NULL, 0, NULL) == 1) {
		if (m.type == LINK_WANT)
			answer_want(r, &m);
		(void)pthread_mutex_lock(&r->lock);
		r->ready |= m.type == LINK_READY;
		r->agent |= m.type == LINK_AGENT;
		r->wants += m.type == LINK_WANT;
		r->ioerrs += m.type == LINK_IOERR;
		r->done += m.type == LINK_CLIENT_DONE;
		if (m.type == LINK_CLIENT_FAILED) {
			r->failed++;
			r->failed_code = m.client.code;
		}
		if (m.type == LINK_FATAL) {
			memcpy(r->fatal, m.fatal.text, sizeof(r->fatal));
			(void)fprintf(stderr, "FATAL: %s\n", r->fatal);
		}
		(void)pthread_cond_broadcast(&r->changed);
		(void)pthread_mutex_unlock(&r->lock);
	}
	(void)pthread_mutex_lock(&r->lock);
	r->ended = true;
	(void)pthread_cond_broadcast(&r->changed);
	(void)pthread_mutex_unlock(&r->lock);
	return NULL;
}

static int start_device(struct rig *r, const char *self, int *vm_fds)
{
	struct link_msg m = { .type = LINK_SETUP, .setup = { .ram_bytes = RAM_BYTES, .guest_cid = 3, .nr_slots = RIG_SLOTS,
							     .nr_cache_slots = RIG_CACHE_SLOTS, .cache_slot_bytes = RIG_UNIT } };
	int fds[LINK_SETUP_FDS + RIG_SLOTS], link[2], pair[2], res;

	r->ram_fd = memfd_create("ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	r->cache_fd = memfd_create("cache", MFD_CLOEXEC);
	if (ftruncate(r->ram_fd, RAM_BYTES) < 0 || ftruncate(r->cache_fd, RIG_CACHE_SLOTS * RIG_UNIT) < 0 ||
	    fcntl(r->ram_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -1;
	r->cache = mmap(NULL, RIG_CACHE_SLOTS * RIG_UNIT, PROT_READ | PROT_WRITE, MAP_SHARED, r->cache_fd, 0);
	fds[0] = r->ram_fd;
	fds[1] = r->cache_fd;
	for (int i = 0; i <= RIG_SLOTS; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			return -1;
		vm_fds[i] = pair[0];
		fds[2 + i] = pair[1];
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) < 0)
		return -1;
	r->link = link[0];
	r->dev = fork();
	if (r->dev == 0) {
		/* dup2() onto itself would keep it close-on-exec */
		if (link[1] == 3)
			(void)fcntl(3, F_SETFD, 0);
		else
			(void)dup2(link[1], 3);
		(void)execl(self, "test", "__device", (char *)NULL);
		_exit(127);
	}
	(void)close(link[1]);
	res = link_send(r->link, &m, fds, LINK_SETUP_FDS + RIG_SLOTS);
	for (int i = 0; i <= RIG_SLOTS; i++)
		(void)close(fds[2 + i]);
	return res;
}

static int start_qemu(struct rig *r, const int *vm_fds)
{
	char memory[128], append[128], chr[RIG_SLOTS + 1][64], dev[RIG_SLOTS + 1][64];
	char *argv[64] = { QEMU, "-M", "microvm,memory-backend=m0", "-accel", "tcg", "-smp", "1,maxcpus=2", "-m", "128",
			   "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-global",
			   "virtio-mmio.force-legacy=false", "-kernel", "build/vmlinux", "-initrd", "build/dev_guest.cpio", "-object",
			   memory, "-append", append, "-serial", "stdio" };
	int n = 26;

	(void)snprintf(memory, sizeof(memory), "memory-backend-file,id=m0,size=128M,share=on,mem-path=/proc/self/fd/%d", r->ram_fd);
	(void)snprintf(append, sizeof(append), "console=ttyS0 loglevel=4 reboot=t panic=-1 tsc_early_khz=%lu tsc=reliable", tsc_khz());
	for (int i = 0; i <= RIG_SLOTS; i++) {
		(void)snprintf(chr[i], sizeof(chr[i]), "socket,id=c%d,fd=%d", i, vm_fds[i]);
		if (i)
			(void)snprintf(dev[i], sizeof(dev[i]), "vhost-user-blk,chardev=c%d,num-queues=1", i);
		else
			(void)snprintf(dev[i], sizeof(dev[i]), "vhost-user-vsock-device,chardev=c0");
		argv[n++] = "-chardev";
		argv[n++] = chr[i];
		argv[n++] = "-device";
		argv[n++] = dev[i];
	}
	r->qemu = fork();
	if (r->qemu == 0) {
		(void)dup2(open("/dev/null", O_RDONLY), 0);
		(void)dup2(2, 1);
		(void)fcntl(r->ram_fd, F_SETFD, 0);
		for (int i = 0; i <= RIG_SLOTS; i++)
			(void)fcntl(vm_fds[i], F_SETFD, 0);
		(void)execvp(QEMU, argv);
		_exit(127);
	}
	for (int i = 0; i <= RIG_SLOTS; i++)
		(void)close(vm_fds[i]);
	return 0;
}

static bool wait_flag(struct rig *r, const bool *flag)
{
	bool ok;

	(void)pthread_mutex_lock(&r->lock);
	while (!*flag && !r->ended)
		(void)pthread_cond_wait(&r->changed, &r->lock);
	ok = *flag;
	(void)pthread_mutex_unlock(&r->lock);
	return ok;
}

int rig_start(struct rig *r, const char *self, void (*booting)(void))
{
	int vm_fds[RIG_SLOTS + 1];

	*r = (struct rig){ .failed_code = 0 };
	(void)pthread_mutex_init(&r->lock, NULL);
	(void)pthread_cond_init(&r->changed, NULL);
	if (make_initramfs("build/dev_guest.cpio") < 0 || start_device(r, self, vm_fds) < 0)
		return -1;
	if (pthread_create(&r->thread, NULL, session, r) != 0 || !wait_flag(r, &r->ready) || start_qemu(r, vm_fds) < 0)
		return -1;
	booting();
	return wait_flag(r, &r->agent) ? 0 : -1;
}

void rig_stop(struct rig *r)
{
	struct link_msg m = { .type = LINK_STOP };

	(void)link_send(r->link, &m, NULL, 0);
	if (r->qemu > 0) {
		(void)kill(r->qemu, SIGKILL);
		(void)waitpid(r->qemu, NULL, 0);
	}
	(void)waitpid(r->dev, &r->dev_status, 0);
	(void)pthread_join(r->thread, NULL);
	(void)close(r->link);
}

void rig_insert_raw(struct rig *r, uint32_t slot, int fd, uint64_t size)
{
	struct link_msg m = { .type = LINK_DISK, .slot = slot, .disk = { .size_bytes = size, .raw = true } };

	(void)snprintf((char *)m.disk.serial, LINK_SERIAL_LEN, "raw-%u", slot);
	(void)link_send(r->link, &m, &fd, 1);
}

void rig_insert_chunked(struct rig *r, uint32_t slot, const uint8_t *data, uint64_t size, int64_t bad_unit)
{
	struct link_msg m = { .type = LINK_DISK, .slot = slot, .disk = { .size_bytes = size, .unit_bytes = RIG_UNIT } };

	r->disk[slot] = (struct rig_disk){ data, size, bad_unit };
	(void)snprintf((char *)m.disk.serial, LINK_SERIAL_LEN, "chunked-%u", slot);
	(void)link_send(r->link, &m, NULL, 0);
}

int rig_connect(struct rig *r, uint32_t port)
{
	static uint32_t id;
	struct link_msg m = { .type = LINK_CLIENT, .client = { .port = port, .id = __atomic_add_fetch(&id, 1, __ATOMIC_RELAXED) } };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	(void)link_send(r->link, &m, &pair[1], 1);
	(void)close(pair[1]);
	return pair[0];
}

int rig_command(struct rig *r, const char *line)
{
	int fd = rig_connect(r, 807);

	(void)io_write_full(fd, line, strlen(line));
	return fd;
}

void rig_ask(struct rig *r, const char *line, char *ret, size_t room)
{
	int fd = rig_command(r, line);
	size_t n = 0;
	ssize_t got;

	while (n < room - 1 && (got = read(fd, ret + n, room - 1 - n)) > 0)
		n += (size_t)got;
	ret[n] = 0;
	(void)close(fd);
}

void rig_wait_ends(struct rig *r, unsigned int n)
{
	(void)pthread_mutex_lock(&r->lock);
	while (r->done + r->failed < n && !r->ended)
		(void)pthread_cond_wait(&r->changed, &r->lock);
	(void)pthread_mutex_unlock(&r->lock);
}
