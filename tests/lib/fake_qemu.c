/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program in QEMU's place, for tests/functional/accel.t: the real one (REAL_QEMU) but for what the name of this one says.
 * "-L help" names the real one and its libraries (REAL_FILES) too, so that the jail shows them.
 *
 *	kvm-abort	with -accel kvm: ends by abort() before a guest runs
 *	kvm-silent	with -accel kvm: runs, and nothing comes of it
 *	kvm-exit	with -accel kvm: says why not, and exits
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	int kvm = 0;

	name = name ? name + 1 : argv[0];
	for (int i = 1; i + 1 < argc; i++)
		kvm |= !strcmp(argv[i], "-accel") && !strcmp(argv[i + 1], "kvm");
	if (kvm && strstr(name, "kvm-abort"))
		abort();
	if (kvm && strstr(name, "kvm-exit")) {
		(void)fprintf(stderr, "qemu: Could not access KVM kernel module\n");
		return 1;
	}
	while (kvm && strstr(name, "kvm-silent"))
		(void)pause();
	if (argc == 3 && !strcmp(argv[1], "-L") && !strcmp(argv[2], "help")) {
		(void)puts(REAL_QEMU "\n" REAL_FILES);
		(void)fflush(stdout);
	}
	argv[0] = (char[]){ REAL_QEMU };
	(void)execv(REAL_QEMU, argv);
	perror(REAL_QEMU);
	return 127;
}
