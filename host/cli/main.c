/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pluck: one program in four roles. The command; "pluck __session SPEC_FD READY_FD", the broker; "pluck __device", the
 * device process with its link at descriptor 3; "pluck __jail ...", which ends QEMU's jail when the session is gone. The last three are
 * started by pluck itself.
 */
#include <fcntl.h>
#include <locale.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "host/cli/cli.h"
#include "host/cli/compat.h"
#include "host/dev/dev.h"
#include "host/session/session.h"
#include "host/vm/warden.h"

#define DEVICE_LINK_FD 3

/* So that no file we open becomes 0, 1 or 2. */
static void open_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		(void)close(fd);
}

/*
 * The provider that is built in has all we use. Without the system's configuration nobody else's modules are loaded, and a
 * command is done a tenth sooner; what the library holds goes with the process.
 */
static void init_openssl(void)
{
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS | OPENSSL_INIT_NO_ATEXIT,
				  NULL);
}

static int parse_fd(const char *s)
{
	char *end;
	long v = strtol(s, &end, 10);

	return *s && !*end && v > 2 && v < 1 << 20 ? (int)v : -1;
}

static int role_session(const char *spec, const char *ready)
{
	int spec_fd = parse_fd(spec), ready_fd = parse_fd(ready);

	if (spec_fd < 0 || ready_fd < 0)
		return EXIT_USAGE;
	return session_main(spec_fd, ready_fd);
}

static int bad_usage(const struct command *cmd, const struct err *err, int code)
{
	return code == -EINVAL ? cli_usage(cmd, "%s", err->text) : cli_fail(err, code);
}

static int unknown_command(const char *name)
{
	char q[128];

	return cli_usage(NULL, "unknown command '%s'", log_quote(name, strlen(name), q, sizeof(q)));
}

int main(int argc, char **argv)
{
	const struct command *cmd;

	init_openssl();
	if (argc == 4 && !strcmp(argv[1], "__session"))
		return role_session(argv[2], argv[3]);
	if (argc == 2 && !strcmp(argv[1], "__device"))
		return dev_main(DEVICE_LINK_FD);
	if (argc > 5 && !strcmp(argv[1], "__jail"))
		return warden_main(argv + 2);
	open_standard_fds();
	(void)setlocale(LC_CTYPE, "");
	cli_signals_init();
	log_open(STDERR_FILENO, "pluck: ");
	if (compat_is_called(argv[0]))
		return compat_main(argc, argv);
	if (argc < 2) {
		cli_help(stderr, NULL);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		argv[1] = "help";
	else if (!strcmp(argv[1], "--version"))
		argv[1] = "version";
	cmd = command_find(argv[1]);
	if (!cmd)
		return unknown_command(argv[1]);
	return command_run(cmd, argc - 2, argv + 2, bad_usage);
}
