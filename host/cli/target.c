/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cli/target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/path.h"
#include "common/utf8.h"
#include "host/cli/mount_options.h"
#include "host/cli/stored.h"
#include "host/source/store/names.h"

#define STORE_OPTIONS                                                                                                  \
	{ OPT("repository", OPT_TEXT, "DIR", "the datastore (default: PBS_REPOSITORY)") },                             \
	{ OPT("ns", OPT_TEXT, "NAMESPACE", "namespace in the datastore (default: the root)") }

#define SNAPSHOT_OPTIONS                                                                                               \
	KEY_OPTIONS,                                                                                                   \
	{ OPT("require-signature", OPT_BOOL, NULL, "refuse a snapshot whose manifest is not signed with the key") },   \
	{ OPT("lock", OPT_TEXT, "auto|require|none",                                                                   \
	      "lock the snapshot against removal while it is read (default: auto)") },                                 \
	{ OPT("log-level", OPT_TEXT, "err|warn|info|debug", "what is said on standard error (default: info)") }

#define DISK_NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

const struct opt target_store_opts[] = {
	STORE_OPTIONS,
	OPT_END,
};

const struct opt target_snapshot_opts[] = {
	SNAPSHOT_OPTIONS,
	OPT_END,
};

const struct opt target_opts[] = {
	STORE_OPTIONS,
	{ OPT("disk", OPT_LIST, "[NAME=]FILE", "a raw disk image instead of a snapshot") },
	OPT_END,
};

const struct opt target_vm_opts[] = {
	{ OPT("memory", OPT_NUMBER, "MIB", "memory of the VM, if it is started now (default: 128)"), .min = 64, .max = 65536 },
	MOUNT_OPTIONS,
	SNAPSHOT_OPTIONS,
	{ OPT("jail", OPT_TEXT, "auto|strict|reduced", "around QEMU (default: auto, which is strict)") },
	{ OPT("accel", OPT_TEXT, "auto|kvm|tcg", "how the VM's processor is made (default: PLUCK_ACCEL, else auto)") },
	{ OPT("idle-timeout", OPT_NUMBER, "SECONDS",
	      "the VM ends after so long without use, 0: with the command (default: 600)"), .min = 0, .max = 604800 },
	OPT_END,
};

const struct opt target_base64_opts[] = {
	{ OPT("base64", OPT_BOOL, NULL, "paths are given in base64") },
	OPT_END,
};

static int bad(struct err *err, const char *what, const char *s, const char *why)
{
	char q[300];

	return err_text(err, -EINVAL, "%s '%s' %s", what, log_quote(s, strlen(s), q, sizeof(q)), why);
}

static int repository(const struct args *a, const char **ret, struct err *err)
{
	const char *s = args_text(a, "repository");
	char q[300];

	if (!s)
		s = getenv("PBS_REPOSITORY");
	if (!s || !*s)
		return err_text(err, -EINVAL, "no datastore: give --repository DIR, or --disk FILE for a plain disk image");
	if (s[0] != '/')
		return err_text(err, -EHOSTUNREACH,
				"repository '%s' is not an absolute path: remote servers are not supported yet",
				log_quote(s, strlen(s), q, sizeof(q)));
	*ret = s;
	return 0;
}

int target_store(const struct args *a, const char **ret_repository, const char **ret_ns, struct err *err)
{
	const char *ns = args_text(a, "ns");
	int r = repository(a, ret_repository, err);

	if (!ns)
		ns = getenv("PBS_NAMESPACE");
	*ret_ns = ns ? ns : "";
	if (r == 0 && names_check_ns(*ret_ns) < 0)
		return bad(err, "namespace", *ret_ns, "is not valid");
	return r;
}

bool target_is_snapshot(const char *s)
{
	struct snapshot_name n;

	return names_parse_snapshot(s, &n) == 0;
}

static int parse_store(const struct args *a, size_t *pos, struct target *t, struct err *err)
{
	int r = target_store(a, &t->spec.repository, &t->spec.ns, err);

	if (r < 0)
		return r;
	if (*pos >= a->nr_pos)
		return err_text(err, -EINVAL, "arguments are missing: %s", a->cmd->usage);
	t->spec.snapshot = a->pos[(*pos)++];
	if (!target_is_snapshot(t->spec.snapshot))
		return bad(err, "snapshot", t->spec.snapshot, "is not TYPE/ID/YYYY-MM-DDTHH:MM:SSZ");
	return 0;
}

static int check_disk_name(const struct target *t, const char *name, struct err *err)
{
	for (const char *p = name; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return bad(err, "disk name", name, "has control characters; give another: NAME=FILE");
	if (path_check_name(name, strlen(name)) < 0 || !utf8_valid(name, strlen(name)))
		return bad(err, "disk name", name, "is not valid; give another: NAME=FILE");
	for (size_t i = 0; i < t->nr_disks; i++)
		if (!strcmp(t->name[i], name))
			return bad(err, "disk name", name, "is given twice; give another: NAME=FILE");
	return 0;
}

static int add_disk(struct target *t, char *name, char *file, const char *archive, struct err *err)
{
	size_t i = t->nr_disks;

	if (!name || i == SESSION_DISKS_MAX) {
		free(name);
		free(file);
		return name ? err_text(err, -E2BIG, "more than %d disks", SESSION_DISKS_MAX) : err_set(err, -ENOMEM, "disks");
	}
	t->name[i] = name;
	t->file[i] = file;
	t->disks[i] = (struct session_disk){ .name = name, .file = file, .archive = archive };
	t->nr_disks++;
	t->spec.disks = t->disks;
	t->spec.nr_disks = t->nr_disks;
	return 0;
}

/* "[NAME=]FILE" */
static int parse_disk(struct target *t, const char *arg, struct err *err)
{
	size_t n = strspn(arg, DISK_NAME_CHARS);
	const char *file = n && arg[n] == '=' ? arg + n + 1 : arg;
	const char *slash = strrchr(file, '/');
	CLEANUP_FREE char *real = NULL, *name = NULL;
	char q[300];
	int r;

	if (!*file)
		return bad(err, "--disk", arg, "names no file");
	if (file != arg)
		name = strndup(arg, n);
	else
		name = strdup(slash ? slash + 1 : file);
	if (!name)
		return err_set(err, -ENOMEM, "--disk");
	name[stored_without(name, strlen(name), WIRE_DISK_SUFFIX)] = 0;
	r = check_disk_name(t, name, err);
	if (r < 0)
		return r;
	real = realpath(file, NULL);
	if (!real)
		return err_set(err, -errno, "disk '%s'", log_quote(file, strlen(file), q, sizeof(q)));
	return add_disk(t, TAKE_PTR(name), TAKE_PTR(real), NULL, err);
}

static bool is_word(const struct args *a, const char *name, const char *word)
{
	const char *s = args_text(a, name);

	return s && !strcasecmp(s, word);
}

enum store_lock target_lock(const struct args *a)
{
	if (is_word(a, "lock", "require"))
		return STORE_LOCK_REQUIRE;
	return is_word(a, "lock", "none") ? STORE_LOCK_NONE : STORE_LOCK_AUTO;
}

static void take_snapshot_opts(const struct args *a, struct session_spec *ret)
{
	static const char *const levels[] = { "err", "warn", "info", "debug" };

	ret->lock = target_lock(a);
	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++)
		if (is_word(a, "log-level", levels[i]))
			log_set_level((enum log_level)i);
	ret->debug = is_word(a, "log-level", "debug");
}

static void take_vm_opts(const struct args *a, struct session_spec *ret)
{
	ret->memory_mib = (uint32_t)args_number(a, "memory", 0);
	ret->idle_timeout_s = (uint32_t)args_number(a, "idle-timeout", 0);
	if (args_has(a, "idle-timeout") && !ret->idle_timeout_s)
		ret->idle_timeout_s = SESSION_IDLE_NONE;
	ret->reduced_jail = is_word(a, "jail", "reduced");
	if (is_word(a, "accel", "kvm"))
		ret->accel = SESSION_ACCEL_KVM;
	else if (is_word(a, "accel", "tcg"))
		ret->accel = SESSION_ACCEL_TCG;
}

int target_parse(const struct args *a, size_t *pos, struct target *ret, struct err *err)
{
	const char *disk;
	int r = 0;

	*ret = (struct target){ .key_options.fd = -1 };
	if (command_opt(a->cmd, "keyfile", 7)) {
		r = key_options_parse(a, &ret->key_options, err);
		if (r < 0)
			return r;
		ret->require_signature = args_flag(a, "require-signature");
		take_snapshot_opts(a, &ret->spec);
	}
	if (command_opt(a->cmd, "memory", 6)) {
		take_vm_opts(a, &ret->spec);
		ret->strict_jail = is_word(a, "jail", "strict");
		r = mount_options_text(a, &ret->mount, err);
		if (r < 0)
			return r;
		ret->spec.mount = ret->mount;
	}
	if (!command_opt(a->cmd, "disk", 4) || !args_has(a, "disk"))
		return parse_store(a, pos, ret, err);
	if (args_has(a, "repository") || args_has(a, "ns"))
		return err_text(err, -EINVAL, "--disk takes the place of a snapshot: not together with --repository or --ns");
	if (ret->key_options.want == KEY_WANTED || ret->require_signature)
		return err_text(err, -EINVAL, "--disk names images without a key: not together with options for one");
	ret->spec.ns = "";
	for (size_t i = 0; r == 0 && (disk = args_list(a, "disk", i)); i++)
		r = parse_disk(ret, disk, err);
	return r;
}

static bool is_image(const char *name)
{
	return stored_has_suffix(name, WIRE_DISK_SUFFIX);
}

static int open_with_key(struct target *t, struct err *err)
{
	int r = t->has_key ? 1 : key_options_load(&t->key_options, &t->key, err);

	t->has_key = r > 0;
	t->spec.key = t->has_key ? &t->key : NULL;
	return r < 0 ? r : snapshot_open_key(t->store, t->spec.ns, t->spec.snapshot, t->spec.key, &t->snapshot, err);
}

/* Nobody is asked for the passphrase of a default key that is of no use here. */
static int open_snapshot(struct target *t, struct err *err)
{
	int r;

	if (t->key_options.want != KEY_AUTO || t->require_signature)
		return open_with_key(t, err);
	r = snapshot_open(t->store, t->spec.ns, t->spec.snapshot, &t->snapshot, err);
	if (r == -ENOKEY)
		return open_with_key(t, err);
	if (r < 0 || snapshot_seal(t->snapshot) == SNAPSHOT_OPEN)
		return r;
	snapshot_close(TAKE_PTR(t->snapshot));
	return open_with_key(t, err);
}

/* What the signature is worth. */
static int check_seal(struct target *t, struct err *err)
{
	enum snapshot_seal seal = snapshot_seal(t->snapshot);
	const char *name = t->spec.snapshot;

	if (snapshot_verified(t->snapshot))
		return 0;
	if (t->require_signature)
		return err_text(err, -EKEYREJECTED, "snapshot %s: the manifest is not signed%s", name,
				t->spec.key ? "" : ", or there is no key to check it with");
	if (seal == SNAPSHOT_ENCRYPTED && !t->spec.key)
		return err_text(err, -ENOKEY, "snapshot %s is encrypted and there is no key", name);
	if (t->spec.key)
		cli_error("WARNING: snapshot %s is NOT SIGNED, although a key is given: anybody who can write to the datastore "
			  "may have made or changed it", name);
	else if (seal == SNAPSHOT_SIGNED)
		cli_error("warning: snapshot %s is signed, but there is no key to check that with", name);
	/* A session is shared by all who need no key for it. */
	if (seal == SNAPSHOT_OPEN)
		t->spec.key = NULL;
	return 0;
}

static int add_images(struct target *t, struct err *err)
{
	const struct store_file *f;
	size_t nr, n;
	int r = 0;

	f = snapshot_files(t->snapshot, &nr);
	for (size_t i = 0; r == 0 && i < nr; i++) {
		if (!is_image(f[i].name))
			continue;
		n = stored_without(f[i].name, strlen(f[i].name), WIRE_DISK_SUFFIX);
		r = add_disk(t, strndup(f[i].name, n), NULL, f[i].name, err);
	}
	return r;
}

int target_open(struct target *t, struct err *err)
{
	int r;

	if (!t->spec.repository)
		return 0;
	r = store_open(t->spec.repository, &t->store, err);
	if (r == 0)
		store_set_lock(t->store, t->spec.lock);
	if (r == 0)
		r = open_snapshot(t, err);
	if (r == -ENOKEY && !t->spec.key && t->key_options.want != KEY_WANTED)
		return err_ctx(err, r, "no key (--keyfile, --keyfd)");
	if (r == 0)
		r = check_seal(t, err);
	return r < 0 ? r : add_images(t, err);
}

int target_open_sealed(struct target *t, struct err *err)
{
	int r;

	snapshot_close(TAKE_PTR(t->snapshot));
	r = snapshot_open_sealed(t->store, t->spec.ns, t->spec.snapshot, &t->snapshot, err);
	return r < 0 ? r : add_images(t, err);
}

void target_share_key(struct target *to, const struct target *from)
{
	to->has_key = from->has_key;
	if (from->has_key)
		to->key = from->key;
}

void target_free(struct target *t)
{
	for (size_t i = 0; i < t->nr_disks; i++) {
		free(t->name[i]);
		free(t->file[i]);
	}
	if (t->snapshot)
		snapshot_close(t->snapshot);
	if (t->store)
		store_close(t->store);
	free(t->mount);
	crypt_key_wipe(&t->key);
	*t = (struct target){ 0 };
}
