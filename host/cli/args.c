/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/log.h"
#include "host/cli/cli.h"

const struct opt cli_format_opts[] = {
	{ OPT("output-format", OPT_TEXT, "text|json|json-pretty",
	      "how to print (default: PROXMOX_OUTPUT_FORMAT, else text)") },
	OPT_END,
};

const struct opt cli_format_jsonl_opts[] = {
	{ OPT("output-format", OPT_TEXT, "text|json|json-pretty|jsonl",
	      "how to print (default: PROXMOX_OUTPUT_FORMAT, else text)") },
	OPT_END,
};

const struct command *command_find(const char *name)
{
	for (size_t i = 0; commands[i]; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

const struct opt *command_opt(const struct command *c, const char *name, size_t len)
{
	for (size_t t = 0; t < COMMAND_OPTS_MAX && c->opts[t]; t++)
		for (const struct opt *o = c->opts[t]; o->name; o++)
			if (strlen(o->name) == len && !memcmp(o->name, name, len))
				return o;
	return NULL;
}

static const struct opt *brief_opt(const struct command *c, const char *arg)
{
	for (size_t t = 0; t < COMMAND_OPTS_MAX && c->opts[t]; t++)
		for (const struct opt *o = c->opts[t]; o->name; o++)
			if (o->brief && arg[1] == o->brief && !arg[2])
				return o;
	return NULL;
}

static bool one_of(const char *words, const char *word)
{
	size_t len = strlen(word);

	while (words) {
		const char *bar = strchrnul(words, '|');

		if ((size_t)(bar - words) == len && !strncasecmp(words, word, len))
			return true;
		words = *bar ? bar + 1 : NULL;
	}
	return false;
}

/* Return: 0 or 1; -EINVAL if it is no such word. */
static int parse_bool(const char *s)
{
	if (one_of("1|true|yes|on", s))
		return 1;
	return one_of("0|false|no|off", s) ? 0 : -EINVAL;
}

static int parse_number(const struct opt *o, const char *s, uint64_t *ret)
{
	uint64_t v = 0;

	if (!*s)
		return -EINVAL;
	for (; *s; s++)
		if (*s < '0' || *s > '9' || __builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -EINVAL;
	if (v < o->min || (o->max && v > o->max))
		return -EINVAL;
	*ret = v;
	return 0;
}

static int check_value(struct arg_value *v, struct err *err)
{
	const struct opt *o = v->opt;
	char q[256];
	int r = 0;

	if (o->kind == OPT_BOOL) {
		r = v->text ? parse_bool(v->text) : 1;
		v->number = r > 0;
	} else if (o->kind == OPT_NUMBER) {
		r = parse_number(o, v->text, &v->number);
	} else if (strchr(o->arg, '|')) {
		r = one_of(o->arg, v->text) ? 0 : -EINVAL;
	}
	if (r >= 0)
		return 0;
	log_quote(v->text, strlen(v->text), q, sizeof(q));
	if (o->kind == OPT_BOOL)
		return err_text(err, -EINVAL, "--%s: '%s' is neither true nor false", o->name, q);
	if (o->kind == OPT_TEXT || o->kind == OPT_LIST)
		return err_text(err, -EINVAL, "--%s: '%s' is not one of %s", o->name, q, o->arg);
	if (o->max)
		return err_text(err, -EINVAL, "--%s: '%s' is not a number from %llu to %llu", o->name, q,
				(unsigned long long)o->min, (unsigned long long)o->max);
	return err_text(err, -EINVAL, "--%s: '%s' is not a number from %llu on", o->name, q, (unsigned long long)o->min);
}

/* Finds the option of "--name", "--name=value" or "-n". *ret_text is the value behind '=', NULL if none. */
static int find_opt(struct args *a, const char *arg, const struct opt **ret, const char **ret_text, struct err *err)
{
	const char *eq = strchrnul(arg, '=');
	char q[128];

	if (!strcmp(arg, "--help") || !strcmp(arg, "-h")) {
		a->help = true;
		*ret = NULL;
		return 0;
	}
	*ret_text = NULL;
	if (arg[1] != '-') {
		*ret = brief_opt(a->cmd, arg);
	} else {
		*ret = command_opt(a->cmd, arg + 2, (size_t)(eq - arg - 2));
		*ret_text = *eq ? eq + 1 : NULL;
	}
	if (*ret)
		return 0;
	return err_text(err, -EINVAL, "unknown option '%s'", log_quote(arg, (size_t)(eq - arg), q, sizeof(q)));
}

/* Return: how many arguments were used. */
static int take_opt(struct args *a, char **argv, int left, struct err *err)
{
	struct arg_value *v = &a->value[a->nr_values];
	const struct opt *o;
	const char *text = NULL;
	int used = 1, r;

	r = find_opt(a, argv[0], &o, &text, err);
	if (r < 0 || !o)
		return r < 0 ? r : 1;
	if (o->kind == OPT_BOOL && !text && left > 1 && parse_bool(argv[1]) >= 0) {
		text = argv[1];
		used = 2;
	} else if (o->kind != OPT_BOOL && !text) {
		if (left < 2)
			return err_text(err, -EINVAL, "--%s needs a value: %s", o->name, o->arg);
		text = argv[1];
		used = 2;
	}
	*v = (struct arg_value){ .opt = o, .text = text };
	r = check_value(v, err);
	if (r < 0)
		return r;
	a->nr_values++;
	return used;
}

int args_parse(const struct command *cmd, int argc, char **argv, struct args *ret, struct err *err)
{
	bool ended = false;
	int r;

	*ret = (struct args){ .cmd = cmd };
	ret->value = calloc((size_t)argc + 1, sizeof(*ret->value));
	ret->pos = calloc((size_t)argc + 1, sizeof(*ret->pos));
	if (!ret->value || !ret->pos)
		return err_set(err, -ENOMEM, "arguments");
	for (int i = 0; i < argc; i += r) {
		r = 1;
		if (!ended && !strcmp(argv[i], "--"))
			ended = true;
		else if (ended || argv[i][0] != '-' || !argv[i][1])
			ret->pos[ret->nr_pos++] = argv[i];
		else
			r = take_opt(ret, argv + i, argc - i, err);
		if (r < 0)
			return r;
	}
	if (ret->help)
		return 0;
	if (ret->nr_pos > cmd->max_pos) {
		char q[128];
		const char *extra = ret->pos[cmd->max_pos];

		return err_text(err, -EINVAL, "unexpected argument '%s'", log_quote(extra, strlen(extra), q, sizeof(q)));
	}
	if (ret->nr_pos < cmd->min_pos)
		return err_text(err, -EINVAL, "arguments are missing: %s", cmd->usage);
	return 0;
}

void args_free(struct args *a)
{
	free(a->value);
	free(a->pos);
	*a = (struct args){ 0 };
}

static const struct arg_value *find_value(const struct args *a, const char *name)
{
	const struct opt *o = command_opt(a->cmd, name, strlen(name));

	assert(o);
	for (size_t i = a->nr_values; i-- > 0;)
		if (a->value[i].opt == o)
			return &a->value[i];
	return NULL;
}

bool args_has(const struct args *a, const char *name)
{
	return find_value(a, name);
}

bool args_flag(const struct args *a, const char *name)
{
	const struct arg_value *v = find_value(a, name);

	return v && v->number;
}

const char *args_text(const struct args *a, const char *name)
{
	const struct arg_value *v = find_value(a, name);

	return v ? v->text : NULL;
}

uint64_t args_number(const struct args *a, const char *name, uint64_t fallback)
{
	const struct arg_value *v = find_value(a, name);

	return v ? v->number : fallback;
}

const char *args_list(const struct args *a, const char *name, size_t at)
{
	const struct opt *o = command_opt(a->cmd, name, strlen(name));

	assert(o);
	for (size_t i = 0; i < a->nr_values; i++)
		if (a->value[i].opt == o && at-- == 0)
			return a->value[i].text;
	return NULL;
}

int cli_format(const struct args *a, enum cli_format *ret, struct err *err)
{
	static const char *const names[] = { "text", "json", "json-pretty", "jsonl" };
	const char *env = getenv("PROXMOX_OUTPUT_FORMAT");
	const char *s = args_text(a, "output-format");
	char q[128];

	if (!s && env && *env) {
		s = env;
		if (!one_of(command_opt(a->cmd, "output-format", 13)->arg, env))
			return err_text(err, -EINVAL, "PROXMOX_OUTPUT_FORMAT: unknown format '%s'",
					log_quote(env, strlen(env), q, sizeof(q)));
	}
	*ret = CLI_TEXT;
	for (size_t i = 0; s && i < 4; i++)
		if (!strcasecmp(s, names[i]))
			*ret = (enum cli_format)i;
	return 0;
}
