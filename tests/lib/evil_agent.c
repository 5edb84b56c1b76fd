/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An agent that lies as its disk tells it to: /init of an initramfs of its own, for tests/functional/hostile.t. What it does
 * before it has the disk, which comes only when it says that it is there, is compiled in: MODE is good, or what is wrong from
 * the start (see begin()).
 *
 * The disk begins with text of at most HEAD_MAX bytes, ended by an empty line:
 *	EVIL
 *	KEY <tab> OFFSET <tab> LENGTH <tab> ACT
 * A request that has KEY in it is answered with these bytes of the disk;
 * ACT is what follows: close, hang, reboot, panic; or comes
 * first: ports.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "common/wire.h"

#define HEAD_MAX 65536
#define KEYS_MAX 256
#define PORT_OPEN "HTTP/1.1 500 No\r\nContent-Length: 14\r\n\r\na port is open"

static struct {
	char key[256], act[16];
	long long off, len;
} answers[KEYS_MAX];
static size_t nr_answers;
static const char mode[] = MODE;
static int disk = -1;

static void hang(void)
{
	for (;;)
		(void)poll(NULL, 0, -1);
}

static bool say(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t w = send(fd, p, n, MSG_NOSIGNAL);

		if (w <= 0)
			return false;
		p += w;
		n -= (size_t)w;
	}
	return true;
}

static bool read_head(void)
{
	static char head[HEAD_MAX + 1];
	char *line, *save = NULL;

	if (pread(disk, head, HEAD_MAX, 0) <= 0 || strncmp(head, "EVIL\n", 5) != 0)
		return false;
	*strstr(head, "\n\n") = 0;
	for (line = strtok_r(head, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (nr_answers < KEYS_MAX && sscanf(line, "%255[^\t]\t%lld\t%lld\t%15s", answers[nr_answers].key, &answers[nr_answers].off,
						    &answers[nr_answers].len, answers[nr_answers].act) == 4)
			nr_answers++;
	return true;
}

/* It comes a moment after we said that we are there. */
static void find_disk(void)
{
	for (;;) {
		for (char c = 'a'; c <= 'z'; c++) {
			char path[] = "/dev/vd?";

			path[7] = c;
			disk = open(path, O_RDONLY | O_CLOEXEC);
			if (disk >= 0 && read_head())
				return;
			if (disk >= 0)
				(void)close(disk);
		}
		(void)poll(NULL, 0, 10);
	}
}

static int dial(unsigned int cid, unsigned int port)
{
	const struct sockaddr_vm to = { .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port };
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

/* Ports of work are taken, as many at once as an agent has workers, and over again when they were given back. */
static bool try_work(void)
{
	int fd[WIRE_CONN_MAX];
	bool bounded = true;

	for (unsigned int round = 0; round < 50; round++) {
		for (unsigned int i = 0; i < WIRE_CONN_MAX; i++)
			bounded &= (fd[i] = dial(VMADDR_CID_HOST, WIRE_WORK_PORT + round * 1000 + i)) >= 0;
		bounded &= dial(VMADDR_CID_HOST, WIRE_WORK_PORT + 5) < 0;
		for (unsigned int i = 0; i < WIRE_CONN_MAX; i++)
			(void)close(fd[i]);
		(void)poll(NULL, 0, 100);
	}
	return bounded;
}

/* What the host must refuse. Return: does it refuse all? */
static bool try_ports(void)
{
	static const unsigned int port[] = { 0, 1, 22, 80, 807, 809, 1024, 8007, 65535, INT32_MAX };
	bool refused = true;

	for (size_t i = 0; i < sizeof(port) / sizeof(*port); i++)
		refused &= dial(VMADDR_CID_HOST, port[i]) < 0;
	for (unsigned int cid = 0; cid < 10; cid++)
		if (cid != VMADDR_CID_HOST && cid != VMADDR_CID_LOCAL)
			refused &= dial(cid, WIRE_READY_PORT) < 0;
	refused &= dial(VMADDR_CID_HOST, WIRE_READY_PORT) < 0;	/* once only */
	for (int i = 0; i < 2000; i++)
		refused &= dial(VMADDR_CID_HOST, 5000) < 0;
	return refused && try_work();
}

static void act(const char *what)
{
	if (!strcmp(what, "hang"))
		hang();
	if (!strcmp(what, "panic"))
		exit(1);	/* the end of /init */
	if (!strcmp(what, "reboot"))
		(void)reboot(RB_AUTOBOOT);
}

static void answer(int fd, size_t i)
{
	char *p = malloc((size_t)answers[i].len + 1);

	if (!strcmp(answers[i].act, "ports") && !try_ports())
		(void)say(fd, PORT_OPEN, sizeof(PORT_OPEN) - 1);
	else if (p && pread(disk, p, (size_t)answers[i].len, answers[i].off) == answers[i].len)
		(void)say(fd, p, (size_t)answers[i].len);
	free(p);
	act(answers[i].act);
}

static void *serve(void *arg)
{
	const int fd = (int)(intptr_t)arg;
	static __thread char request[65536];
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(request) - 1 && (n = read(fd, request + len, sizeof(request) - 1 - len)) > 0) {
		len += (size_t)n;
		request[len] = 0;
		if (!strstr(request, "\r\n\r\n"))
			continue;
		for (size_t i = 0; i < nr_answers; i++) {
			if (strstr(request, answers[i].key)) {
				answer(fd, i);
				break;
			}
		}
		break;
	}
	(void)close(fd);
	return NULL;
}

/* How it says that it is there. */
static void begin(void)
{
	int fd;

	if (!strcmp(mode, "silent"))
		hang();
	if (!strcmp(mode, "panic"))
		exit(1);
	if (!strcmp(mode, "reboot"))
		(void)reboot(RB_AUTOBOOT);
	fd = dial(VMADDR_CID_HOST, WIRE_READY_PORT);
	if (!strcmp(mode, "garbage"))
		(void)say(fd, "\033[2JREADY 7\n", 12);
	else if (!strcmp(mode, "endless"))
		while (say(fd, "READY READY READY READY READY READY READY READY READY READY ", 60))
			;
	else if (!strcmp(mode, "hangup"))
		(void)shutdown(fd, SHUT_RDWR);
	else
		(void)say(fd, WIRE_READY_LINE, strlen(WIRE_READY_LINE));
	if (strcmp(mode, "good") != 0)
		hang();
}

int main(void)
{
	const struct sockaddr_vm any = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = WIRE_PORT };
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0), conn;

	(void)mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	if (bind(fd, (const struct sockaddr *)&any, sizeof(any)) < 0 || listen(fd, 64) < 0)
		return 1;
	begin();
	find_disk();
	while ((conn = accept(fd, NULL, NULL)) >= 0) {
		pthread_t t;

		if (pthread_create(&t, NULL, serve, (void *)(intptr_t)conn) == 0)
			(void)pthread_detach(t);
	}
	return 1;
}
