/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/jsonw.h"
#include "common/log.h"
#include "host/cli/cli.h"
#include "host/cli/key_options.h"
#include "host/cli/size.h"
#include "host/cli/target.h"
#include "host/source/store/names.h"
#include "host/source/store/store.h"

#define BACKUP_INPUTS_MAX 256

static const struct opt backup_opts[] = {
	{ OPT("repository", OPT_TEXT, "DIR", "the datastore (default: PBS_REPOSITORY)") },
	{ OPT("ns", OPT_TEXT, "NAMESPACE", "namespace in the datastore (default: the root)") },
	{ OPT("backup-id", OPT_TEXT, "ID", "name of the group, such as the number of the VM") },
	{ OPT("backup-type", OPT_TEXT, "vm|ct|host", "kind of the group (default: vm)") },
	{ OPT("backup-time", OPT_TEXT, "TIME", "Unix seconds or RFC 3339 (default: now)") },
	KEY_OPTIONS,
	{ OPT("quiet", OPT_BOOL, NULL, "no progress") },
	OPT_END,
};

struct inputs {
	struct backup_input *in;
	char **name;
	size_t nr;
};

static void inputs_free(struct inputs *p)
{
	for (size_t i = 0; i < p->nr; i++) {
		(void)close(p->in[i].fd);
		free(p->name[i]);
	}
	free(p->in);
	free(p->name);
}

static int open_input(const char *arg, struct inputs *p, struct err *err)
{
	const char *colon = strchr(arg, ':');
	CLEANUP_FREE char *name = NULL;
	char q[300];
	int fd;

	if (!colon || colon == arg || !colon[1])
		return err_text(err, -EINVAL, "'%s' is not NAME.img:FILE or NAME.conf:FILE",
				log_quote(arg, strlen(arg), q, sizeof(q)));
	name = strndup(arg, (size_t)(colon - arg));
	if (!name)
		return err_set(err, -ENOMEM, "arguments");
	fd = open(colon + 1, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return err_set(err, -errno, "open '%s'", log_quote(colon + 1, strlen(colon + 1), q, sizeof(q)));
	p->in[p->nr] = (struct backup_input){ .name = name, .fd = fd };
	p->name[p->nr++] = TAKE_PTR(name);
	return 0;
}

static int open_inputs(const struct args *a, struct inputs *p, struct err *err)
{
	int r = 0;

	p->in = calloc(a->nr_pos, sizeof(*p->in));
	p->name = calloc(a->nr_pos, sizeof(*p->name));
	if (!p->in || !p->name)
		return err_set(err, -ENOMEM, "arguments");
	for (size_t i = 0; i < a->nr_pos && r == 0; i++)
		r = open_input(a->pos[i], p, err);
	return r;
}

static int parse_time(const struct args *a, int64_t *ret, struct err *err)
{
	const char *s = args_text(a, "backup-time");
	char *end;
	long long v;

	*ret = time(NULL);
	if (!s || names_parse_time(s, strlen(s), ret) == 0)
		return 0;
	errno = 0;
	v = strtoll(s, &end, 10);
	if (*s < '0' || *s > '9' || *end || errno)
		return err_text(err, -EINVAL, "--backup-time: '%s' is neither Unix seconds nor YYYY-MM-DDTHH:MM:SSZ", s);
	*ret = v;
	return 0;
}

/* Signals while a backup runs: it ends in order, then the program by the signal. */
struct stop {
	int fd;		/* signalfd; -1 if there is none */
	int sig;	/* what came; 0 if nothing */
};

static bool must_stop(struct stop *s)
{
	struct signalfd_siginfo info;
	struct sigaction sa;

	if (s->fd < 0 || read(s->fd, &info, sizeof(info)) != sizeof(info))
		return false;
	if (sigaction((int)info.ssi_signo, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
		return false;
	s->sig = (int)info.ssi_signo;
	return true;
}

static int progress(void *arg, const char *name, uint64_t done, uint64_t total)
{
	if (must_stop(arg))
		return -EINTR;
	cli_progress("%s: %llu of %llu MiB", name, (unsigned long long)(done >> 20), (unsigned long long)(total >> 20));
	return 0;
}

static void print_text(const struct snapshot_name *n, const struct backup_stats *st, double seconds)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	char text[NAMES_SNAPSHOT_TEXT];

	buf_fmt(&out, "%s: ", names_format_snapshot(n, text));
	cli_size(&out, st->bytes);
	buf_fmt(&out, ", %llu chunks, %llu new, ", (unsigned long long)st->chunks, (unsigned long long)st->new_chunks);
	cli_size(&out, st->new_bytes);
	buf_fmt(&out, " written, %.1f s\n", seconds);
	(void)cli_out_buf(&out);
}

static void print_json(const struct snapshot_name *n, const struct backup_stats *st, double seconds, bool pretty)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	struct jsonw w = { .out = &out, .pretty = pretty };
	char text[NAMES_SNAPSHOT_TEXT];

	jsonw_object_begin(&w);
	jsonw_key_string(&w, "snapshot", names_format_snapshot(n, text));
	jsonw_key_string(&w, "backup-type", n->type);
	jsonw_key_string(&w, "backup-id", n->id);
	jsonw_key_i64(&w, "backup-time", n->time);
	jsonw_key_u64(&w, "bytes", st->bytes);
	jsonw_key_u64(&w, "chunks", st->chunks);
	jsonw_key_u64(&w, "new-chunks", st->new_chunks);
	jsonw_key_u64(&w, "new-bytes", st->new_bytes);
	jsonw_key_u64(&w, "milliseconds", (uint64_t)(seconds * 1000));
	jsonw_object_end(&w);
	buf_u8(&out, '\n');
	(void)cli_out_buf(&out);
}

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The key that the options mean, and the backup with it. */
static int backup(const struct args *a, const char *repository, const char *ns, const struct snapshot_name *n,
		  const struct inputs *in, struct backup_stats *ret, struct err *err)
{
	CLEANUP(crypt_key_wipe) struct crypt_key key = { .data = { 0 } };
	struct key_options options;
	struct stop stop = { .fd = -1 };
	struct store *store;
	bool with_key;
	int r;

	r = key_options_parse(a, &options, err);
	if (r == 0)
		r = key_options_load(&options, &key, err);
	if (r < 0)
		return r;
	with_key = r > 0;
	r = store_open(repository, &store, err);
	if (r < 0)
		return r;
	stop.fd = cli_signals_hold();
	r = store_backup_key(store, ns, n->type, n->id, n->time, in->in, in->nr, with_key ? &key : NULL, options.sign_only,
			     progress, &stop, ret, err);
	cli_progress_end();
	store_close(store);
	if (stop.fd >= 0)
		cli_signals_release(stop.fd);
	if (stop.sig)
		(void)raise(stop.sig);
	return r;
}

/* All of the command line but the inputs. */
static int parse(const struct args *a, const char **repository, const char **ns, struct snapshot_name *n,
		 enum cli_format *format, struct err *err)
{
	const char *id = args_text(a, "backup-id"), *type = args_text(a, "backup-type");
	int r;

	if (!id || names_check_id(id, strlen(id)) < 0)
		return err_text(err, -EINVAL, id ? "--backup-id: letters, digits, '_', and behind the first also '.' and '-'" :
				"--backup-id ID is missing");
	memcpy(n->id, id, strlen(id) + 1);
	(void)snprintf(n->type, sizeof(n->type), "%s", type ? type : "vm");
	if (names_check_type(n->type) < 0)
		return err_text(err, -EINVAL, "--backup-type: vm, ct or host");
	r = cli_format(a, format, err);
	if (r == 0)
		r = target_store(a, repository, ns, err);
	return r == 0 ? parse_time(a, &n->time, err) : r;
}

static int run(const struct args *a)
{
	CLEANUP(inputs_free) struct inputs in = { 0 };
	struct snapshot_name n = { .type = "" };
	struct backup_stats st = { 0 };
	struct err e = ERR_INIT;
	const char *repository, *ns;
	enum cli_format format;
	double start;
	int r;

	r = parse(a, &repository, &ns, &n, &format, &e);
	if (r == -EINVAL)
		return cli_usage(a->cmd, "%s", e.text);
	if (r == 0)
		r = open_inputs(a, &in, &e);
	if (r < 0)
		return cli_fail(&e, r);
	cli_progress_init(args_flag(a, "quiet"));
	start = now();
	r = backup(a, repository, ns, &n, &in, &st, &e);
	if (r == -EEXIST || r == -EBUSY) {
		(void)cli_fail(&e, r);
		return EXIT_TARGET;
	}
	if (r < 0)
		return cli_fail(&e, r);
	if (format == CLI_TEXT)
		print_text(&n, &st, now() - start);
	else
		print_json(&n, &st, now() - start, format == CLI_JSON_PRETTY);
	return cli_out_end(EXIT_OK);
}

const struct command cmd_backup = {
	.name = "backup",
	.usage = "NAME.img:FILE... [NAME.conf:FILE...]",
	.help = "write disk images into a datastore as a new snapshot",
	.more = "Images (.img) are cut into chunks of 4 MiB; chunks that the datastore has already are not written again.\n"
		"Small files (.conf, .log, .json) are stored whole. The snapshot is there when everything is written; a backup\n"
		"that fails leaves none.\n"
		"With a key (also the default key, if there is one; see --crypt-mode none) all of it is encrypted and signed.",
	.opts = { backup_opts, cli_format_opts },
	.min_pos = 1,
	.max_pos = BACKUP_INPUTS_MAX,
	.run = run,
};
