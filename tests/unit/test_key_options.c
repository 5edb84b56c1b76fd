/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "host/cli/key_options.h"
#include "host/source/store/key_file.h"

static char base[] = "/tmp/pluck-keys-XXXXXX";
static struct crypt_key keys[3];	/* given, of XDG_CONFIG_HOME, of HOME */

static void path_of(char *path, size_t room, const char *name)
{
	(void)snprintf(path, room, "%s/%s", base, name);
}

static void make_key(size_t i, const char *name, const char *pass)
{
	CLEANUP(key_buf_free) struct buf text = BUF_INIT;
	char path[256];

	path_of(path, sizeof(path), name);
	assert_int_equal(key_generate(&keys[i]), 0);
	assert_int_equal(key_file_format(&keys[i], pass ? KEY_KDF_PBKDF2 : KEY_KDF_NONE, pass, pass ? strlen(pass) : 0, NULL, NULL,
					 &text, NULL), 0);
	assert_int_equal(key_file_write(path, text.data, text.len, true, NULL) == -ENOENT ?
			 key_file_write(path, text.data, text.len, false, NULL) : 0, 0);
}

static int setup(void **state)
{
	static const char *const dirs[] = { "", "xdg", "xdg/proxmox-backup", "home", "home/.config", "home/.config/proxmox-backup" };
	char path[256];

	(void)state;
	if (!mkdtemp(base))
		return -1;
	for (size_t i = 1; i < sizeof(dirs) / sizeof(*dirs); i++) {
		path_of(path, sizeof(path), dirs[i]);
		if (mkdir(path, 0700) < 0)
			return -1;
	}
	make_key(0, "given.json", "pass phrase");
	make_key(1, "xdg/proxmox-backup/encryption-key.json", NULL);
	make_key(2, "home/.config/proxmox-backup/encryption-key.json", NULL);
	return 0;
}

static int teardown(void **state)
{
	char cmd[64];

	(void)state;
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", base);
	return system(cmd) ? -1 : 0;
}

static void set_path(const char *name, const char *below)
{
	char path[256];

	if (below) {
		path_of(path, sizeof(path), below);
		assert_int_equal(setenv(name, path, 1), 0);
	} else {
		assert_int_equal(unsetenv(name), 0);
	}
}

static int no_run(const struct args *a)
{
	(void)a;
	return 0;
}

static const struct opt table[] = { KEY_OPTIONS, OPT_END };
static const struct command cmd = { .name = "t", .usage = "", .opts = { table }, .run = no_run };

static const struct {
	const char *name, *xdg, *home, *argv[5];
	int parse;		/* of the options */
	int load;		/* 1, 0, negative errno */
	int key;		/* which one */
} cases[] = {
	{ "nothing, no default", NULL, NULL, { NULL }, 0, 0, 0 },
	{ "nothing, default", "xdg", "home", { NULL }, 0, 1, 1 },
	{ "nothing, default at home", "void", "home", { NULL }, 0, 1, 2 },
	{ "nothing, default at home alone", NULL, "home", { NULL }, 0, 1, 2 },
	{ "key file", "xdg", "home", { "--keyfile", "given.json", NULL }, 0, 1, 0 },
	{ "key file, encrypt", NULL, NULL, { "--keyfile", "given.json", "--crypt-mode=encrypt", NULL }, 0, 1, 0 },
	{ "key file, sign only", NULL, NULL, { "--keyfile", "given.json", "--crypt-mode=sign-only", NULL }, 0, 1, 0 },
	{ "key file, none", NULL, NULL, { "--keyfile", "given.json", "--crypt-mode=none", NULL }, -EINVAL, 0, 0 },
	{ "descriptor, none", NULL, NULL, { "--keyfd", "5", "--crypt-mode", "none", NULL }, -EINVAL, 0, 0 },
	{ "both", NULL, NULL, { "--keyfd", "5", "--keyfile=x", NULL }, -EINVAL, 0, 0 },
	{ "none, default", "xdg", "home", { "--crypt-mode", "none", NULL }, 0, 0, 0 },
	{ "encrypt, default", "xdg", NULL, { "--crypt-mode", "encrypt", NULL }, 0, 1, 1 },
	{ "sign only, default", NULL, "home", { "--crypt-mode", "sign-only", NULL }, 0, 1, 2 },
	{ "encrypt, no default", "void", "void", { "--crypt-mode", "encrypt", NULL }, 0, -ENOKEY, 0 },
	{ "relative directories count for nothing", "", "", { NULL }, 0, 0, 0 },
	{ "no such file", NULL, NULL, { "--keyfile", "nothing.json", NULL }, 0, -EKEYREJECTED, 0 },
	{ "a directory", NULL, NULL, { "--keyfile", "xdg", NULL }, 0, -EKEYREJECTED, 0 },
	{ "no key", NULL, NULL, { "--keyfile", "/dev/null", NULL }, 0, -EKEYREJECTED, 0 },
	{ "no end", NULL, NULL, { "--keyfile", "/dev/zero", NULL }, 0, -EKEYREJECTED, 0 },
	{ "bad descriptor", NULL, NULL, { "--keyfd", "1000", NULL }, 0, -EKEYREJECTED, 0 },
};

static void check_case(size_t i)
{
	struct key_options o;
	struct crypt_key key;
	struct err e = ERR_INIT;
	char *argv[5] = { NULL };
	struct args a;
	int argc = 0, r;

	for (; cases[i].argv[argc]; argc++)
		argv[argc] = (char *)(uintptr_t)cases[i].argv[argc];
	assert_int_equal(args_parse(&cmd, argc, argv, &a, &e), 0);
	r = key_options_parse(&a, &o, &e);
	print_message("%s: %s\n", cases[i].name, e.text);
	assert_int_equal(r, cases[i].parse);
	if (r == 0) {
		r = key_options_load(&o, &key, &e);
		print_message("  %d %s\n", r, e.text);
		assert_int_equal(r, cases[i].load);
		if (r == 1)
			assert_memory_equal(key.data, keys[cases[i].key].data, KEY_BYTES);
	}
	args_free(&a);
}

static void test_combinations(void **state)
{
	char was[4096];

	(void)state;
	assert_non_null(getcwd(was, sizeof(was)));
	assert_int_equal(chdir(base), 0);
	assert_int_equal(setenv("PBS_ENCRYPTION_PASSWORD", "pass phrase", 1), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		set_path("XDG_CONFIG_HOME", cases[i].xdg && *cases[i].xdg ? cases[i].xdg : NULL);
		set_path("HOME", cases[i].home && *cases[i].home ? cases[i].home : NULL);
		if (cases[i].xdg && !*cases[i].xdg) {
			assert_int_equal(setenv("XDG_CONFIG_HOME", "xdg", 1), 0);
			assert_int_equal(setenv("HOME", "home", 1), 0);
		}
		check_case(i);
	}
	assert_int_equal(chdir(was), 0);
}

/* A descriptor is read from its begin, again and again; a pipe once. */
static void test_descriptor(void **state)
{
	CLEANUP(key_text_free) struct key_text text = { 0 };
	struct key_options o = { .want = KEY_WANTED };
	struct crypt_key key;
	char path[256];
	int fds[2];

	(void)state;
	path_of(path, sizeof(path), "given.json");
	o.fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(o.fd >= 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(key_options_load(&o, &key, NULL), 1);
		assert_memory_equal(&key, &keys[0], sizeof(key));
	}
	assert_int_equal(fcntl(o.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);	/* still open */
	assert_int_equal(key_text_read(o.fd, "x", &text, NULL), 0);
	(void)close(o.fd);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(io_write_full(fds[1], text.data, text.len), 0);
	(void)close(fds[1]);
	o.fd = fds[0];
	assert_int_equal(key_options_load(&o, &key, NULL), 1);
	assert_int_equal(key_options_load(&o, &key, NULL), -EKEYREJECTED);
	(void)close(fds[0]);
}

static void test_passphrase(void **state)
{
	struct key_options o = { .want = KEY_WANTED, .fd = -1 };
	struct err e = ERR_INIT;
	struct crypt_key key;
	char path[256];

	(void)state;
	path_of(path, sizeof(path), "given.json");
	o.file = path;
	assert_int_equal(setenv("PBS_ENCRYPTION_PASSWORD", "wrong one", 1), 0);
	assert_int_equal(key_options_load(&o, &key, &e), -EKEYREJECTED);
	assert_null(strstr(e.text, "wrong one"));
	assert_int_equal(setenv("PBS_ENCRYPTION_PASSWORD", "four", 1), 0);
	assert_int_equal(key_options_load(&o, &key, &e), -EKEYREJECTED);
	assert_int_equal(unsetenv("PBS_ENCRYPTION_PASSWORD"), 0);
	assert_int_equal(setenv("PBS_ENCRYPTION_PASSWORD_CMD", "printf 'pass phrase'", 1), 0);
	assert_int_equal(key_options_load(&o, &key, &e), 1);
	assert_int_equal(setenv("PBS_ENCRYPTION_PASSWORD_CMD", "false", 1), 0);
	assert_int_equal(key_options_load(&o, &key, &e), -EKEYREJECTED);
	assert_int_equal(unsetenv("PBS_ENCRYPTION_PASSWORD_CMD"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_combinations),
		cmocka_unit_test(test_descriptor),
		cmocka_unit_test(test_passphrase),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
