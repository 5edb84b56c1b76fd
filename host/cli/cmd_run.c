/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run: a program of the tools image inside the VM, next to the disks. Its output is a hostile guest's: to a terminal it
 * goes escaped.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "host/cli/cli.h"
#include "host/cli/target.h"

#define STATUS_KILLED (128 + SIGKILL)

/* At once: a program may pause for long. Return: 0; negative errno. */
static int put_output(const char *p, size_t len, bool terminal)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	if (!terminal) {
		(void)cli_out(p, len);
		return cli_out_flush();
	}
	while (len) {
		const char *lf = memchr(p, '\n', len);
		size_t n = lf ? (size_t)(lf - p) : len;

		cli_escape(&b, p, n);
		if (lf)
			buf_u8(&b, '\n');
		n += lf ? 1 : 0;
		p += n;
		len -= n;
	}
	(void)cli_out_buf(&b);
	return cli_out_flush();
}

static int run_program(const struct target *t, struct client *c, const struct buf *words)
{
	bool terminal = isatty(STDOUT_FILENO);
	struct err err = ERR_INIT;
	char chunk[65536];
	ssize_t n;
	int r;

	client_set_timeout(c, 0);	/* a program may have nothing to say for long */
	r = client_run_begin(c, words->data, words->len, &err);
	if (r < 0) {
		r = target_why(t, r, &err);
		return cli_fail(&err, r);
	}
	while ((n = client_read(c, chunk, sizeof(chunk), &err)) > 0)
		if (put_output(chunk, (size_t)n, terminal) < 0)
			return EXIT_OK;		/* cli_out_end() says what happened; the program ends with the connection */
	if (n < 0) {
		r = target_why(t, (int)n, &err);
		return cli_fail(&err, r);
	}
	r = client_last_totals(c)->exit_status;
	if (r < 0)
		return cli_fail(&err, err_text(&err, -EPROTO, "the VM does not tell how the program ended"));
	if (r == STATUS_KILLED && target_ran_out(t, &err))
		cli_error("the program was killed: %s", err.text);
	return r;
}

static int run_run(const struct args *a)
{
	CLEANUP_BUF struct buf words = { .limit = CLIENT_RUN_MAX };
	struct client *c = NULL;
	struct err err = ERR_INIT;
	struct target t;
	size_t pos = 0;
	int r;

	cli_alarm((unsigned int)args_number(a, "timeout", 0), "the program has not ended in time");
	r = target_parse(a, &pos, &t, &err);
	for (size_t i = pos; i < a->nr_pos; i++)
		buf_add(&words, a->pos[i], strlen(a->pos[i]) + 1);
	if (r == 0 && pos == a->nr_pos)
		r = err_text(&err, -EINVAL, "no program to run");
	if (r == 0 && buf_ok(&words) < 0)
		r = err_text(&err, -EINVAL, "the command is longer than %d bytes", CLIENT_RUN_MAX);
	if (r == -EINVAL) {
		target_free(&t);
		return cli_usage(a->cmd, "%s", err.text);
	}
	if (r == 0)
		r = target_open(&t, &err);
	if (r == 0)
		r = target_connect(&t, &c, NULL, &err);
	r = r < 0 ? cli_fail(&err, r) : run_program(&t, c, &words);
	client_free(c);
	target_free(&t);
	return r;
}

static const struct opt opts[] = {
	{ OPT("timeout", OPT_NUMBER, "SECONDS", "give up after so long, and end the program"), .min = 1, .max = 1000000 },
	OPT_END,
};

const struct command cmd_run = {
	.name = "run",
	.usage = "[SNAPSHOT] -- PROGRAM [ARG...]",
	.help = "run a program of the tools image inside the VM",
	.more = "The disks are /dev/vda, /dev/vdb, ... in the order given, read-only; volumes that were listed are\n"
		"mounted below /mnt. PROGRAM is any applet of busybox, or one of the image's own tools, such as\n"
		"blkid. The exit status is the program's own, 128 and the signal's number if one ended it. If that was for\n"
		"want of memory (137), a message says so: --memory gives a new VM more. A program is ended after 300 s of\n"
		"processor time, and when nobody reads what it writes any more.\n",
	.opts = { opts, target_opts, target_vm_opts },
	.min_pos = 1,
	.max_pos = 66,
	.run = run_run,
};
