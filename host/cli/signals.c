/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signals, time-out and the progress line: what happens beside the work. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "host/cli/cli.h"

#define ERASE_LINE "\r\x1b[K"

static volatile sig_atomic_t progress_shown;
static bool progress_on, json_on;
static struct timespec progress_last;
static struct {
	const char *text;	/* without the program's name and the end of the line; NULL: there is a line */
	const char *line;
	int fd, status;
} alarm_says;

static void say(const char *text, size_t len)
{
	(void)!write(STDERR_FILENO, text, len);
}

static void on_end(int sig)
{
	if (progress_shown)
		say("\n", 1);
	_exit(128 + sig);
}

static void on_alarm(int sig)
{
	(void)sig;
	if (progress_shown)
		say(ERASE_LINE, sizeof(ERASE_LINE) - 1);
	if (alarm_says.text) {
		say("pluck: ", 7);
		say(alarm_says.text, strlen(alarm_says.text));
		say("\n", 1);
		_exit(EXIT_TIMEOUT);
	}
	(void)!write(alarm_says.fd, alarm_says.line, strlen(alarm_says.line));
	_exit(alarm_says.status);
}

static void set_handler(int sig, void (*fn)(int))
{
	struct sigaction sa = { .sa_handler = fn, .sa_flags = SA_RESTART };

	(void)sigemptyset(&sa.sa_mask);
	(void)sigaction(sig, &sa, NULL);
}

static void end_signals(sigset_t *ret)
{
	(void)sigemptyset(ret);
	(void)sigaddset(ret, SIGINT);
	(void)sigaddset(ret, SIGTERM);
}

void cli_signals_init(void)
{
	struct sigaction old;
	sigset_t set;

	(void)signal(SIGPIPE, SIG_IGN);
	if (sigaction(SIGINT, NULL, &old) == 0 && old.sa_handler != SIG_IGN)	/* "pluck ... &" in a script */
		set_handler(SIGINT, on_end);
	set_handler(SIGTERM, on_end);
	end_signals(&set);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int cli_signals_hold(void)
{
	sigset_t set;
	int fd;

	end_signals(&set);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	return fd;
}

void cli_signals_release(int fd)
{
	sigset_t set;

	end_signals(&set);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
	(void)close(fd);
}

static volatile sig_atomic_t deferred, defer_fd = -1;

/* The first one breaks the stream off, so that its reader cleans up; the second ends the program. */
static void on_deferred(int sig)
{
	int saved = errno;

	if (deferred)
		on_end(sig);
	deferred = sig;
	if (defer_fd >= 0)
		(void)shutdown(defer_fd, SHUT_RDWR);
	errno = saved;
}

const volatile sig_atomic_t *cli_signals_defer(int fd)
{
	defer_fd = fd;
	set_handler(SIGINT, on_deferred);
	set_handler(SIGTERM, on_deferred);
	if (deferred && fd >= 0)
		(void)shutdown(fd, SHUT_RDWR);
	return &deferred;
}

int cli_cut_short(const volatile sig_atomic_t *stop, int r)
{
	cli_progress_end();
	if (stop && *stop) {
		cli_error("interrupted");
		return 128 + *stop;
	}
	return r == -EPIPE ? EXIT_PARTIAL : -1;
}

static void start_alarm(unsigned int seconds)
{
	sigset_t set;

	set_handler(SIGALRM, on_alarm);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGALRM);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
	(void)alarm(seconds);
}

void cli_alarm(unsigned int seconds, const char *text)
{
	if (!seconds)
		return;
	alarm_says.text = text;
	start_alarm(seconds);
}

void cli_alarm_exit(unsigned int seconds, int fd, const char *line, int status)
{
	(void)alarm(0);
	if (!seconds)
		return;
	alarm_says.text = NULL;
	alarm_says.line = line;
	alarm_says.fd = fd;
	alarm_says.status = status;
	start_alarm(seconds);
}

void cli_progress_init(bool quiet)
{
	progress_on = !quiet && !cli_has_json_lines() && isatty(STDERR_FILENO);
	json_on = !quiet && cli_has_json_lines();
}

static void show(const char *text)
{
	char line[256];
	int n = snprintf(line, sizeof(line), ERASE_LINE "%s", text);

	progress_shown = 1;
	say(line, n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

/* Did so long pass since the last one? */
static bool is_due(int64_t ms)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC_COARSE, &now) < 0)
		return false;
	if ((now.tv_sec - progress_last.tv_sec) * 1000 + (now.tv_nsec - progress_last.tv_nsec) / 1000000 < ms)
		return false;
	progress_last = now;
	return true;
}

bool cli_shows_progress(void)
{
	return progress_on;
}

bool cli_progress_due(void)
{
	return json_on && is_due(1000);
}

void cli_progress(const char *fmt, ...)
{
	char text[128];
	va_list ap;

	if (!progress_on || !is_due(200))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	show(text);
}

void cli_progress_end(void)
{
	if (progress_shown)
		say(ERASE_LINE, sizeof(ERASE_LINE) - 1);
	progress_shown = 0;
}

void cli_phase(void *arg, const char *phase)
{
	char text[128];

	(void)arg;
	if (json_on)
		cli_json_text("phase", phase);
	if (!progress_on)
		return;
	(void)snprintf(text, sizeof(text), "%s...", phase);
	show(text);
}
