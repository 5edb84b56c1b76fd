/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PID 1 of the VM in which test_dev_vm tests the device process: no agent, only what exercises disks and vsock. Built
 * statically by that test. A connection begins with one line:
 *   cat N     the bytes of disk N     null N   read disk N, answer with "BYTES NANOSECONDS\n"
 *   size N    its size and serial     gen N    N bytes, each the low byte of its 4096-block's number
 *   echo      what comes, back        sink     read to the end, answer with the number of bytes
 *   at N OFF  4096 bytes at OFF, or "errno E\n"
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

static char buf[262144];

static void put(int fd, const char *p, size_t n)
{
	size_t step = n;

	while (n) {
		ssize_t r = write(fd, p, step < n ? step : n);

		if (r < 0 && errno == ENOMEM && step > 8192) {
			step = 8192;
			continue;
		}
		if (r < 0)
			exit(1);
		p += r;
		n -= (size_t)r;
	}
}

static int disk(unsigned int n)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/dev/vd%c", 'a' + (int)n);
	return open(path, O_RDONLY);
}

static void read_all(int s, unsigned int n, int send)
{
	struct timespec a, b;
	long long total = 0;
	int fd = disk(n);
	ssize_t r;

	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	while ((r = read(fd, buf, sizeof(buf))) > 0) {
		if (send)
			put(s, buf, (size_t)r);
		total += r;
	}
	(void)clock_gettime(CLOCK_MONOTONIC, &b);
	if (!send)
		dprintf(s, "%lld %lld\n", total, (b.tv_sec - a.tv_sec) * 1000000000LL + (b.tv_nsec - a.tv_nsec));
}

static void size_of(int s, unsigned int n)
{
	char path[64], serial[32] = "";
	int fd = disk(n);
	int id;

	(void)snprintf(path, sizeof(path), "/sys/block/vd%c/serial", 'a' + (int)n);
	id = open(path, O_RDONLY);
	if (id >= 0 && read(id, serial, sizeof(serial) - 1) < 0)
		serial[0] = 0;
	dprintf(s, "%lld %s\n", (long long)lseek(fd, 0, SEEK_END), serial);
}

static void gen(int s, long long n)
{
	static char blocks[256 * 4096];		/* the pattern repeats: filled once, so that filling is not what is measured */

	for (int i = 0; i < 256; i++)
		memset(blocks + i * 4096, i, 4096);
	for (long long at = 0; at < n;) {
		size_t len = n - at < 262144 ? (size_t)(n - at) : 262144;

		put(s, blocks + at % (long long)sizeof(blocks), len);
		at += (long long)len;
	}
}

static void echo(int s)
{
	ssize_t r;

	while ((r = read(s, buf, sizeof(buf))) > 0)
		put(s, buf, (size_t)r);
}

static void sink(int s)
{
	long long total = 0;
	ssize_t r;

	while ((r = read(s, buf, sizeof(buf))) > 0)
		total += r;
	dprintf(s, "%lld\n", total);
}

static void at(int s, unsigned int n, long long off)
{
	int fd = disk(n);

	if (pread(fd, buf, 4096, off) < 0)
		dprintf(s, "errno %d\n", errno);
	else
		put(s, buf, 4096);
}

static void serve(int s)
{
	char line[64];
	size_t n = 0;
	unsigned int d;
	long long v;

	while (n < sizeof(line) - 1 && read(s, line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = 0;
	if (sscanf(line, "cat %u", &d) == 1)
		read_all(s, d, 1);
	else if (sscanf(line, "null %u", &d) == 1)
		read_all(s, d, 0);
	else if (sscanf(line, "size %u", &d) == 1)
		size_of(s, d);
	else if (sscanf(line, "gen %lld", &v) == 1)
		gen(s, v);
	else if (sscanf(line, "at %u %lld", &d, &v) == 2)
		at(s, d, v);
	else if (!strcmp(line, "echo"))
		echo(s);
	else if (!strcmp(line, "sink"))
		sink(s);
}

int main(void)
{
	struct sockaddr_vm me = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = 807 };
	struct sockaddr_vm host = { .svm_family = AF_VSOCK, .svm_cid = 2, .svm_port = 808 };
	struct sockaddr_vm other = { .svm_family = AF_VSOCK, .svm_cid = 2, .svm_port = 4711 };
	int l = socket(AF_VSOCK, SOCK_STREAM, 0), s = socket(AF_VSOCK, SOCK_STREAM, 0), o = socket(AF_VSOCK, SOCK_STREAM, 0);

	(void)mkdir("/dev", 0755);
	(void)mkdir("/sys", 0755);
	(void)mount("dev", "/dev", "devtmpfs", 0, NULL);
	(void)mount("sys", "/sys", "sysfs", 0, NULL);
	(void)signal(SIGCHLD, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	if (bind(l, (struct sockaddr *)&me, sizeof(me)) < 0 || listen(l, 64) < 0)
		return 1;
	/* any other port must be refused */
	if (connect(o, (struct sockaddr *)&other, sizeof(other)) == 0)
		return 1;
	if (connect(s, (struct sockaddr *)&host, sizeof(host)) < 0 || write(s, "READY 1\n", 8) != 8)
		return 1;
	(void)close(s);
	for (;;) {
		int c = accept(l, NULL, NULL);

		if (c >= 0 && fork() == 0) {
			serve(c);
			(void)close(c);
			_exit(0);
		}
		(void)close(c);
	}
}
