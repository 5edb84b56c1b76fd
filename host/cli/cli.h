/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CLI_CLI_H
#define HOST_CLI_CLI_H

/*
 * What all commands share: the command table, options of one style, and the only code that writes to stdout and stderr.
 *
 * A command is a struct command in its own cmd_NAME.c, named cmd_NAME, and a line in commands.c. Its function returns the
 * exit status (host/exit.h); what went wrong it reports with cli_fail(), cli_usage() or cli_error().
 */

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/buf.h"
#include "common/err.h"
#include "host/exit.h"

enum opt_kind {
	OPT_BOOL,	/* --name, --name=VALUE or --name VALUE with 1 true yes on 0 false no off */
	OPT_TEXT,	/* the last one counts; with '|' in arg the value must be one of those words */
	OPT_LIST,	/* may be repeated */
	OPT_NUMBER,	/* decimal, min to max */
};

struct opt {
	const char *name;	/* without dashes; NULL ends a table */
	enum opt_kind kind;
	const char *arg;	/* what help calls the value */
	const char *help;	/* one line */
	uint64_t min, max;	/* OPT_NUMBER */
	char brief;		/* one-letter form, 0: none */
};

/* Rows of a table; further fields behind them: { OPT(...), .brief = '0' } */
#define OPT(n, k, a, h) .name = (n), .kind = (k), .arg = (a), .help = (h)
#define OPT_END { .name = NULL }

#define COMMAND_OPTS_MAX 6

struct args;

struct command {
	const char *name;
	const char *usage;	/* positional arguments: "SNAPSHOT PATH" */
	const char *help;	/* one line */
	const char *more;	/* further help text; may be NULL */
	const struct opt *opts[COMMAND_OPTS_MAX];	/* tables, NULL behind the last */
	size_t min_pos, max_pos;	/* number of positional arguments */
	int (*run)(const struct args *a);
};

/* The table; NULL behind the last. */
extern const struct command *const commands[];
extern const struct command cmd_backup, cmd_datastore, cmd_key, cmd_snapshots;
extern const struct command cmd_catalog, cmd_cat, cmd_diff, cmd_files, cmd_groups, cmd_namespaces, cmd_pxar;
extern const struct command cmd_restore, cmd_verify;
extern const struct command cmd_disks, cmd_extract, cmd_help, cmd_list, cmd_run, cmd_stat, cmd_status, cmd_stop;
extern const struct command cmd_version;

/** command_find() - Return: NULL if there is none of this name. */
const struct command *command_find(const char *name);

/** a command_usage_fn tells that options cannot be parsed (@code). Return: the exit status. */
typedef int command_usage_fn(const struct command *cmd, const struct err *err, int code);

/** command_run() - parse the options behind the command's name, run it or print its help. Return: the exit status. */
int command_run(const struct command *cmd, int argc, char **argv, command_usage_fn *bad_usage);

/** command_opt() - an option of a command by name (@len bytes). Return: NULL if it has none. */
const struct opt *command_opt(const struct command *c, const char *name, size_t len);

struct arg_value {
	const struct opt *opt;
	const char *text;	/* borrowed from argv */
	uint64_t number;	/* OPT_BOOL, OPT_NUMBER */
};

/* A parsed command line; strings are borrowed from argv. */
struct args {
	const struct command *cmd;
	struct arg_value *value;
	size_t nr_values;
	const char **pos;
	size_t nr_pos;
	bool help;	/* --help or -h was given */
};

/**
 * args_parse() - options anywhere, "--" ends them, "-" alone is positional
 * Return: 0; -EINVAL with the text of the usage error; -ENOMEM. Release with args_free().
 */
int args_parse(const struct command *cmd, int argc, char **argv, struct args *ret, struct err *err);
void args_free(struct args *a);

/* Values by name; the name must be in the command's tables. */
bool args_flag(const struct args *a, const char *name);
bool args_has(const struct args *a, const char *name);
const char *args_text(const struct args *a, const char *name);	/* NULL if not given */
uint64_t args_number(const struct args *a, const char *name, uint64_t fallback);
/** args_list() - the @i-th value of a repeated option. Return: NULL behind the last. */
const char *args_list(const struct args *a, const char *name, size_t i);

enum cli_format { CLI_TEXT, CLI_JSON, CLI_JSON_PRETTY, CLI_JSONL };

/* --output-format without and with jsonl. */
extern const struct opt cli_format_opts[], cli_format_jsonl_opts[];

/** cli_format() - of --output-format, else PROXMOX_OUTPUT_FORMAT, else text. Return: 0; -EINVAL for a bad environment. */
int cli_format(const struct args *a, enum cli_format *ret, struct err *err);

/** cli_error() - "pluck: TEXT" on stderr; what is not printable is escaped, further lines are indented. */
void cli_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** cli_error_prefix() - in place of "pluck: ". @text must stay valid. */
void cli_error_prefix(const char *text);

/** cli_fail() - report an error. Return: its exit status. */
int cli_fail(const struct err *e, int code);

/**
 * cli_json_lines() - from now on standard error gets one JSON object a line: {"type":"message","text":...} in place of
 * sentences, {"type":"phase"} and {"type":"problem"} of cli_phase() and cli_note()
 */
void cli_json_lines(void);
bool cli_has_json_lines(void);
/** cli_json_line() - write the object in @line, and reset it. */
void cli_json_line(struct buf *line);

/** cli_json_text() - {"type":@type,"text":@text} */
void cli_json_text(const char *type, const char *text);

/** cli_usage() - report wrong usage and name the help. Return: EXIT_USAGE. */
int cli_usage(const struct command *cmd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** cli_help() - help of one command, or of all for NULL. */
void cli_help(FILE *f, const struct command *cmd);

/** cli_escape() - append foreign bytes made safe for a terminal (\xHH, backslash doubled). */
void cli_escape(struct buf *out, const void *p, size_t len);

/*
 * Standard output, buffered. The first failure stays; cli_out_end() reports it, so that callers may ignore these results
 * unless they would go on for long.
 */
int cli_out(const void *p, size_t len);
/** cli_out_buf() - write and reset a buffer. Return: 0; negative errno, also when the buffer is broken. */
int cli_out_buf(struct buf *b);
/** cli_out_flush() - what is in the buffer goes out now, for somebody who watches. Return: 0; negative errno. */
int cli_out_flush(void);
/** cli_json() - append JSON that jansson wrote and a line feed; what controls a terminal becomes \\u00XX. */
void cli_json(struct buf *out, const char *json);
/** cli_out_end() - flush. Return: @status if all was written; 1, silent, when the reader of a pipe went away; EXIT_TARGET. */
int cli_out_end(int status);

/* A table: cells are borrowed text that is already escaped; a NULL cell is empty. */
struct cli_column {
	const char *title;
	bool right;
};
/** cli_table() - honours PROXMOX_OUTPUT_NO_BORDER and PROXMOX_OUTPUT_NO_HEADER. @cells: row by row. */
int cli_table(const struct cli_column *col, size_t nr_cols, const char *const *cells, size_t nr_rows);

/** cli_table_ruled() - the same with a line between rows. */
int cli_table_ruled(const struct cli_column *col, size_t nr_cols, const char *const *cells, size_t nr_rows);

#define TABLE_COLS_MAX 16

/* A table whose rows come one after another: all of them twice, first to be measured. Give col, nr_cols and ruled. */
struct cli_table {
	const struct cli_column *col;
	size_t nr_cols;		/* TABLE_COLS_MAX at most */
	bool ruled;
	bool begun, border;
	size_t width[TABLE_COLS_MAX];
	struct buf out;
};

/** cli_table_measure() - what a row takes. */
void cli_table_measure(struct cli_table *t, const char *const *cells);

/** cli_table_row() - after all were measured. Return: 0; as cli_out_buf(). */
int cli_table_row(struct cli_table *t, const char *const *cells);

/** cli_table_end() - after the last row. Return: 0; as cli_out_buf(). */
int cli_table_end(struct cli_table *t);

void cli_table_free(struct cli_table *t);

/** cli_time() - append local time as "2026-11-17 02:00:00"; "@SECONDS" where the calendar ends. */
void cli_time(struct buf *out, int64_t t);

/* Lines about single entries: the first CLI_NOTES_MAX, then a count. */
#define CLI_NOTES_MAX 20
struct cli_notes {
	uint64_t nr;
};
void cli_note(struct cli_notes *n, const char *path, size_t path_len, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void cli_notes_end(const struct cli_notes *n);

/** cli_signals_init() - SIGINT and SIGTERM end the program at once with 130 and 143; SIGPIPE is ignored. */
void cli_signals_init(void);

/**
 * cli_signals_hold() - from now on they come by a descriptor, so that partial files can be removed first
 * Return: a signalfd (close it); negative errno.
 */
int cli_signals_hold(void);
/** cli_signals_release() - undo; a signal that came meanwhile ends the program. Closes @fd. */
void cli_signals_release(int fd);

/**
 * cli_signals_defer() - from now on the first of them sets the flag and shuts down the stream @fd (-1: none), whose reader
 * then cleans up; the second ends the program at once
 * Return: 0 in it, or the signal's number.
 */
const volatile sig_atomic_t *cli_signals_defer(int fd);

/**
 * cli_cut_short() - did a signal (the flag of cli_signals_defer(), or NULL) or a reader that went away (@r is -EPIPE) end it?
 * Removes the progress line, and says so of a signal.
 * Return: its exit status; -1 if it did not.
 */
int cli_cut_short(const volatile sig_atomic_t *stop, int r);

/** cli_alarm() - end the program with EXIT_TIMEOUT and "@text" after @seconds; 0: never. @text must stay valid. */
void cli_alarm(unsigned int seconds, const char *text);

/** cli_alarm_exit() - the same with other words: all of @line to the descriptor @fd, and @status. 0 seconds: call it off. */
void cli_alarm_exit(unsigned int seconds, int fd, const char *line, int status);

/* Progress on stderr if that is a terminal. */
void cli_progress_init(bool quiet);
void cli_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));	/* replaces the line; at most five times a second */
void cli_progress_end(void);	/* removes the line */
bool cli_shows_progress(void);
bool cli_progress_due(void);	/* with JSON Lines: is it time for one? once a second */
/** cli_phase() - a session_progress_fn */
void cli_phase(void *arg, const char *phase);

#endif
