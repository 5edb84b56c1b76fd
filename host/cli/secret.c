/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/utf8.h"
#include "host/cli/cli.h"

void secret_wipe(struct secret *s)
{
	explicit_bzero(s, sizeof(*s));
}

/* Byte by byte: what lies behind the line is not ours. @line: its end is the end. */
static int read_line(int fd, bool line, struct secret *ret)
{
	ret->len = 0;
	for (;;) {
		char c;
		ssize_t n = read(fd, &c, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0 || (line && c == '\n'))
			break;
		if (ret->len == SECRET_MAX)
			return -E2BIG;
		ret->text[ret->len++] = c;
	}
	if (line && ret->len && ret->text[ret->len - 1] == '\r')
		ret->len--;
	ret->text[ret->len] = 0;
	return memchr(ret->text, 0, ret->len) || !utf8_valid(ret->text, ret->len) ? -EILSEQ : 0;
}

static int take_text(const char *text, struct secret *ret)
{
	size_t len = strcspn(text, "\n");

	if (len && text[len] && text[len - 1] == '\r')
		len--;
	if (len > SECRET_MAX)
		return -E2BIG;
	memcpy(ret->text, text, len);
	ret->text[len] = 0;
	ret->len = len;
	return utf8_valid(ret->text, len) ? 0 : -EILSEQ;
}

static int from_fd(const char *number, struct secret *ret)
{
	char *end;
	long fd = strtol(number, &end, 10);

	if (*number < '0' || *number > '9' || *end || fd > 1 << 20)
		return -EINVAL;
	return read_line((int)fd, true, ret);
}

static int from_file(const char *path, bool line, struct secret *ret)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	return fd < 0 ? -errno : read_line(fd, line, ret);
}

/* Takes one word at @*p and writes it unquoted to @*out. Return: 0; -EINVAL for a quote without end. */
static int take_word(char **p, char **out)
{
	char quote = 0;

	for (; **p && (quote || !strchr(" \t\n", **p)); (*p)++) {
		if (quote ? **p == quote : **p == '\'' || **p == '"') {
			quote = quote ? 0 : **p;
			continue;
		}
		if (**p == '\\' && quote != '\'') {
			if (!(*p)[1])
				return -EINVAL;
			if (!quote || strchr("\\\"$`", (*p)[1]))
				(*p)++;
		}
		*(*out)++ = **p;
	}
	return quote ? -EINVAL : 0;
}

int secret_split(char *text, char ***words)
{
	CLEANUP_FREE char **list = calloc(strlen(text) / 2 + 2, sizeof(*list));
	char *out = text;
	int n = 0;

	if (!list)
		return -ENOMEM;
	for (char *p = text + strspn(text, " \t\n"); *p; p += strspn(p, " \t\n")) {
		list[n++] = out;
		if (take_word(&p, &out) < 0)
			return -EINVAL;
		if (*p)
			p++;	/* the blank: its place is where the word's NUL may go */
		*out++ = 0;
	}
	if (!n)
		return -EINVAL;
	*words = TAKE_PTR(list);
	return n;
}

/* Starts a command with its standard output at @fd. */
static int spawn(char **argv, int fd, pid_t *ret)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t pipe_signal;
	int r;

	(void)sigemptyset(&pipe_signal);
	(void)sigaddset(&pipe_signal, SIGPIPE);
	(void)posix_spawn_file_actions_init(&files);
	(void)posix_spawnattr_init(&attr);
	(void)posix_spawn_file_actions_adddup2(&files, fd, STDOUT_FILENO);
	(void)posix_spawnattr_setsigdefault(&attr, &pipe_signal);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
	r = posix_spawnp(ret, argv[0], &files, &attr, argv, environ);
	(void)posix_spawn_file_actions_destroy(&files);
	(void)posix_spawnattr_destroy(&attr);
	return -r;
}

static int from_command(const char *line, struct secret *ret)
{
	CLEANUP_FREE char *text = strdup(line);
	CLEANUP_FREE char **argv = NULL;
	CLEANUP_CLOSE int in = -1, out = -1;
	int fds[2], status, r;
	pid_t pid;

	r = text ? secret_split(text, &argv) : -ENOMEM;
	if (r < 0)
		return r;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	in = fds[0];
	out = fds[1];
	r = spawn(argv, out, &pid);
	if (r < 0)
		return r;
	(void)close(TAKE_FD(out));
	r = read_line(in, true, ret);
	(void)close(TAKE_FD(in));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE)
		status = 0;	/* it had more to say than one line */
	return r < 0 ? r : status ? -ECHILD : 0;
}

static const char *variable(const char *name, const char *suffix, char *full, size_t room)
{
	const char *v;

	(void)snprintf(full, room, "%s%s", name, suffix);
	v = getenv(full);
	return v && *v ? v : NULL;
}

static int from_credentials(const char *file, struct secret *ret, char *what, size_t room)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	int r;

	if (!file || !dir || !*dir)
		return -ENOENT;
	(void)snprintf(what, room, "%s/%s", dir, file);
	r = from_file(what, false, ret);
	while (r == 0 && ret->len && ret->text[ret->len - 1] == '\n')
		ret->text[--ret->len] = 0;
	return r;
}

int secret_find(const char *name, const char *credential, struct secret *ret, struct err *err)
{
	char what[4200];
	const char *v;
	int r;

	if ((v = variable(name, "", what, sizeof(what)))) {
		r = take_text(v, ret);
	} else if ((v = variable(name, "_FD", what, sizeof(what)))) {
		r = from_fd(v, ret);
	} else if ((v = variable(name, "_FILE", what, sizeof(what)))) {
		r = from_file(v, true, ret);
	} else if ((v = variable(name, "_CMD", what, sizeof(what)))) {
		r = from_command(v, ret);
	} else {
		r = from_credentials(credential, ret, what, sizeof(what));
		if (r == -ENOENT)
			return 0;
	}
	if (r == 0)
		return 1;
	secret_wipe(ret);
	if (r == -ECHILD)
		return err_text(err, r, "%s: the command failed", what);
	if (r == -E2BIG)
		return err_text(err, r, "%s: more than %d bytes", what, SECRET_MAX);
	if (r == -EILSEQ)
		return err_text(err, r, "%s: the text is not UTF-8", what);
	return err_set(err, r, "%s", what);
}

static int open_terminal(void)
{
	return open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
}

bool secret_can_ask(void)
{
	CLEANUP_CLOSE int fd = open_terminal();

	return fd >= 0;
}

/* A line, or a signal, which must not find the terminal without its echo. */
static int read_terminal(int tty, int signals, struct secret *ret)
{
	struct pollfd pfd[2] = { { .fd = tty, .events = POLLIN }, { .fd = signals, .events = POLLIN } };
	int r;

	do
		r = poll(pfd, 2, -1);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	if (pfd[1].revents)
		return -EINTR;
	r = read_line(tty, true, ret);
	return r == 0 && !ret->len ? -ENODATA : r;
}

int secret_ask(const char *prompt, struct secret *ret, struct err *err)
{
	CLEANUP_CLOSE int tty = open_terminal();
	struct termios was, silent;
	sigset_t alarm_signal, mask;
	int signals, r;

	if (tty < 0)
		return err_set(err, -errno, "open the terminal");
	if (tcgetattr(tty, &was) < 0)
		return err_set(err, -errno, "terminal");
	cli_progress_end();
	(void)sigemptyset(&alarm_signal);
	(void)sigaddset(&alarm_signal, SIGALRM);
	(void)sigprocmask(SIG_BLOCK, &alarm_signal, &mask);	/* a time-out waits for the one who types */
	signals = cli_signals_hold();
	silent = was;
	silent.c_lflag = (silent.c_lflag & ~(tcflag_t)ECHO) | ECHONL | ICANON;
	r = tcsetattr(tty, TCSAFLUSH, &silent) < 0 ? -errno : io_write_full(tty, prompt, strlen(prompt));
	if (r == 0)
		r = read_terminal(tty, signals, ret);
	(void)tcsetattr(tty, TCSAFLUSH, &was);
	(void)sigprocmask(SIG_SETMASK, &mask, NULL);
	if (signals >= 0)
		cli_signals_release(signals);
	if (r == -ENODATA)
		return err_text(err, r, "no passphrase was given");
	return r < 0 ? err_set(err, r, "read a passphrase") : 0;
}
