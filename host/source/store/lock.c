/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/source/store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "host/source/store/digest.h"
#include "host/source/store/names.h"

#define LOCK_DIR "/run/proxmox-backup/locks"
#define LOCK_OLD "/run/proxmox-backup/old-locking"
#define STORE_CONFIG "/etc/proxmox-backup/datastore.cfg"

void lock_release(struct lock *l)
{
	if (l->dir_fd >= 0)
		(void)close(l->dir_fd);
	if (l->file_fd >= 0)
		(void)close(l->file_fd);
	*l = LOCK_INIT;
}

void lock_file_name(const char *relpath, struct buf *out)
{
	CLEANUP_BUF struct buf name = BUF_INIT;
	uint8_t digest[DIGEST_BYTES];
	char hex[DIGEST_HEX + 1];

	names_escape_unit(relpath, &name);
	if (name.len < 255) {
		buf_add(out, name.data, name.len);
		return;
	}
	if (digest_sha256(relpath, strlen(relpath), NULL, 0, digest) < 0)
		return;
	digest_to_hex(digest, hex);
	buf_fmt(out, "hashed/%.80s...%.80s-%s", (const char *)name.data, (const char *)name.data + name.len - 80, hex);
}

/* The server's name of the datastore at @base: sections "datastore: NAME", lines "path DIR" in them. Return: 0; -ENOENT it has none; negative errno. */
static int find_store_name(const char *base, char *ret, size_t room)
{
	CLEANUP_FREE char *text = NULL;
	char name[64] = "";
	size_t len;
	char *save = NULL;
	int r;

	r = io_read_file(AT_FDCWD, STORE_CONFIG, 1 << 20, &text, &len);
	if (r < 0)
		return r;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char path[PATH_MAX];

		if (sscanf(line, "datastore: %63s", name) == 1)
			continue;
		if (sscanf(line, " path %4095s", path) == 1 && !strcmp(path, base) && !names_check_id(name, strlen(name))) {
			(void)snprintf(ret, room, "%s", name);
			return 0;
		}
	}
	return -ENOENT;
}

static int flock_now(int fd, bool exclusive, const char *what, bool *ret_weak, struct err *err)
{
	*ret_weak = false;
	if (flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return err_text(err, -EBUSY, "%s is locked: a backup, a removal or a reader is at work", what);
	log_debug("flock on %s: %s, going on without", what, strerror(errno));
	*ret_weak = true;
	return 0;
}

/* The path of the lock file in the server's scheme. Return: 1; 0 that scheme is not in force here; negative errno unknown. */
static int server_lock_path(const char *base, const char *ns, const char *relpath, struct buf *out)
{
	char store[64];
	int r;

	if (access(LOCK_DIR, F_OK) < 0 || access(LOCK_OLD, F_OK) == 0)
		return 0;
	r = find_store_name(base, store, sizeof(store));
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	buf_fmt(out, LOCK_DIR "/%s/", store);
	for (const char *p = ns; *p; p++)
		buf_u8(out, *p == '/' ? ':' : (uint8_t)*p);
	if (*ns)
		buf_u8(out, '/');
	lock_file_name(relpath, out);
	return buf_cstr(out) ? 1 : -ENOMEM;
}

/* What root makes among the locks must stay usable for the server, the owner of their directory. */
static void give_to_server(const char *path, mode_t mode)
{
	struct stat st;

	if (geteuid() == 0 && stat(LOCK_DIR, &st) == 0 &&
	    (lchown(path, st.st_uid, st.st_gid) < 0 || chmod(path, mode) < 0))
		log_debug("lock file '%s': %s", path, strerror(errno));
}

/* Directories between LOCK_DIR and the file, where they are missing. */
static void make_parents(char *path)
{
	for (char *slash = strchr(path + sizeof(LOCK_DIR), '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(path, 0755) == 0)
			give_to_server(path, 0755);
		*slash = '/';
	}
}

static int open_lock_file(char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	make_parents(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0660);
	if (fd < 0 && errno == EEXIST)
		return open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0)
		give_to_server(path, 0660);
	return fd;
}

static int take_server_lock(char *path, bool exclusive, const char *what, struct lock *ret, struct err *err)
{
	CLEANUP_CLOSE int fd = open_lock_file(path);
	struct stat a, b;
	bool weak;
	int r;

	if (fd < 0) {
		log_debug("lock file '%s': %s, going on without", path, strerror(errno));
		ret->weak = true;
		return 0;
	}
	r = flock_now(fd, exclusive, what, &weak, err);
	ret->weak |= weak;
	if (r < 0)
		return r;
	if (fstat(fd, &a) < 0 || stat(path, &b) < 0 || a.st_ino != b.st_ino || a.st_dev != b.st_dev)
		return err_text(err, -EBUSY, "%s: the lock file was replaced while locking", what);
	ret->file_fd = TAKE_FD(fd);
	return 0;
}

int lock_take(const char *base, const char *ns, const char *relpath, int dir_fd, bool exclusive, struct lock *ret,
	      struct err *err)
{
	CLEANUP(lock_release) struct lock l = LOCK_INIT;
	CLEANUP_BUF struct buf path = BUF_INIT;
	int r;

	/* An own open file description: the lock belongs to it. */
	l.dir_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l.dir_fd < 0)
		return err_set(err, -errno, "open '%s'", relpath);
	r = flock_now(l.dir_fd, exclusive, relpath, &l.weak, err);
	if (r < 0)
		return r;
	r = server_lock_path(base, ns, relpath, &path);
	l.weak |= r < 0;
	if (r > 0)		/* the path ends with a NUL */
		r = take_server_lock((char *)path.data, exclusive, relpath, &l, err);
	else
		r = 0;
	if (r < 0)
		return r;
	*ret = l;
	l = LOCK_INIT;
	return 0;
}

int lock_take_store(int base_fd, int *ret_fd, struct err *err)
{
	struct flock fl = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	CLEANUP_CLOSE int fd = openat(base_fd, ".lock", O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);

	if (fd < 0)
		return err_set(err, -errno, "open '.lock'");
	/* Conflicts with record locks of other processes, but does not vanish when another descriptor is closed. */
	if (fcntl(fd, F_OFD_SETLK, &fl) < 0) {
		if (errno == EAGAIN || errno == EACCES)
			return err_text(err, -EBUSY, "unable to get shared lock - garbage collection is running");
		return err_set(err, -errno, "lock '.lock'");
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}
