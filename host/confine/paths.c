/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/confine/confine.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/spool_file.h"
#include "host/confine/priv.h"

/* Rights as the kernel numbers them; the headers of the build may know fewer. */
#define FS_EXECUTE (1ull << 0)
#define FS_WRITE_FILE (1ull << 1)
#define FS_READ_FILE (1ull << 2)
#define FS_READ_DIR (1ull << 3)
#define FS_CHANGE (0x1ff0ull)		/* remove and make, bits 4 to 12 */
#define FS_REFER (1ull << 13)		/* ABI 2 */
#define FS_TRUNCATE (1ull << 14)	/* ABI 3 */
#define FS_IOCTL_DEV (1ull << 15)	/* ABI 5 */
#define NET_ALL 3ull			/* ABI 4: TCP bind and connect */
#define SCOPE_ALL 3ull			/* ABI 6: abstract unix sockets, signals */
#define FS_OF_FILES (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

struct ruleset {
	uint64_t fs, net, scope;
};

static int get_abi(void)
{
	long r = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return r < 0 ? -errno : (int)r;
}

/* The part of @rights that this ABI knows. */
static uint64_t known(int abi, uint64_t rights)
{
	if (abi < 2)
		rights &= ~FS_REFER;
	if (abi < 3)
		rights &= ~FS_TRUNCATE;
	if (abi < 5)
		rights &= ~FS_IOCTL_DEV;
	return rights;
}

static int make(int abi, struct ruleset r)
{
	/* Older kernels take the longer form as long as what they do not know is 0. */
	long fd;

	r.fs = known(abi, r.fs);
	if (abi < 4)
		r.net = 0;
	if (abi < 6)
		r.scope = 0;
	fd = syscall(SYS_landlock_create_ruleset, &r, sizeof(r), 0);
	return fd < 0 ? -errno : (int)fd;
}

static int allow(int set, int abi, int fd, uint64_t rights)
{
	struct landlock_path_beneath_attr rule = { .parent_fd = fd };
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	rule.allowed_access = known(abi, S_ISDIR(st.st_mode) ? rights : rights & FS_OF_FILES);
	return syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

int confine_paths_new(void)
{
	int abi = get_abi();

	if (abi < 1)
		return abi < 0 ? abi : -EOPNOTSUPP;
	return make(abi, (struct ruleset){
		.fs = FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_READ_DIR | FS_CHANGE | FS_REFER | FS_TRUNCATE | FS_IOCTL_DEV,
		.net = NET_ALL,
		.scope = SCOPE_ALL,
	});
}

int confine_paths_allow(int set, int fd, bool write)
{
	return allow(set, get_abi(), fd,
		     FS_EXECUTE | FS_READ_FILE | FS_READ_DIR | (write ? FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV : 0));
}

int confine_paths_enter(int set)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return syscall(SYS_landlock_restrict_self, set, 0) < 0 ? -errno : 0;
}

static int confine_writing(int out_dir, struct err *err)
{
	const uint64_t rights = FS_WRITE_FILE | FS_CHANGE | FS_REFER | FS_TRUNCATE;
	CLEANUP_CLOSE int set = -1;
	int abi = get_abi(), r = 0;

	if (abi < 1 || (abi < 2 && out_dir >= 0)) {
		log_debug("Landlock %s: writing is not confined to the target",
			  abi < 1 ? "is not available" : "of this kernel forbids hard links");
		return 0;
	}
	set = make(abi, (struct ruleset){ .fs = rights });
	if (set >= 0 && out_dir >= 0)
		r = allow(set, abi, out_dir, rights);
	if (set >= 0 && r == 0)
		r = confine_paths_enter(set);
	return set < 0 || r < 0 ? err_set(err, set < 0 ? set : r, "Landlock") : 0;
}

int confine_command(int out_dir, struct err *err)
{
	int r;

	spool_file_prepare();	/* nothing can be opened there later on */
	r = confine_writing(out_dir, err);
	return r < 0 ? r : confine_calls(err);
}
