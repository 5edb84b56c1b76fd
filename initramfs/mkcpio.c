/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mkcpio - write an initramfs from a list, the same bytes for the same input
 *
 *	mkcpio LIST OUT [NAME=FILE]...
 *
 * Lines of LIST, paths absolute, '#' begins a comment:
 *	dir	PATH MODE
 *	char	PATH MODE MAJOR MINOR
 *	link	PATH TARGET
 *	file	PATH MODE NAME		contents from the FILE given for NAME
 *
 * Entries are sorted by path and numbered in that order; every owner is root and every time 0, so that neither the file
 * system nor the clock of the build shows. Device nodes are records only: no root is needed. OUT is replaced when whole.
 * The format is cpio's "newc": an ASCII header of 8-digit hexadecimal fields, name and contents padded to 4 bytes.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRIES_MAX	1024
#define LINE_BYTES_MAX	1024

struct entry {
	char path[256];		/* without the leading slash */
	char arg[256];		/* link target, or the file to copy */
	unsigned int mode, major, minor;
};

static struct entry entries[ENTRIES_MAX];
static size_t nr_entries;
static const char *tmp_path;

static void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

static void die(const char *fmt, ...)
{
	va_list ap;

	fputs("mkcpio: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (tmp_path)
		unlink(tmp_path);
	exit(1);
}

/* The file given on the command line as NAME=FILE */
static const char *find_file(const char *name, char **argv)
{
	size_t len = strlen(name);

	for (; *argv; argv++)
		if (!strncmp(*argv, name, len) && (*argv)[len] == '=')
			return *argv + len + 1;
	die("no file given for '%s'", name);
}

static void parse_line(const char *line, unsigned int line_nr, char **argv)
{
	struct entry *e = &entries[nr_entries];
	char kind[8], path[256], arg[256];
	int n = 0;

	if (sscanf(line, " %7s /%255s %n", kind, path, &n) != 2 || !n)
		die("line %u: no kind and absolute path", line_nr);
	if (nr_entries == ENTRIES_MAX)
		die("line %u: more than %d entries", line_nr, ENTRIES_MAX);
	line += n;
	strcpy(e->path, path);
	n = 0;
	if (!strcmp(kind, "dir")) {
		if (sscanf(line, "%o %n", &e->mode, &n) == 1)
			e->mode |= S_IFDIR;
	} else if (!strcmp(kind, "char")) {
		if (sscanf(line, "%o %u %u %n", &e->mode, &e->major, &e->minor, &n) == 3)
			e->mode |= S_IFCHR;
	} else if (!strcmp(kind, "link")) {
		if (sscanf(line, "%255s %n", e->arg, &n) == 1)
			e->mode = S_IFLNK | 0777;
	} else if (!strcmp(kind, "file")) {
		if (sscanf(line, "%o %255s %n", &e->mode, arg, &n) == 2) {
			const char *file = find_file(arg, argv);

			if (strlen(file) >= sizeof(e->arg))
				die("'%s': path too long", file);
			strcpy(e->arg, file);
			e->mode |= S_IFREG;
		}
	} else {
		die("line %u: '%s' is no kind of entry", line_nr, kind);
	}
	if (!n || line[n])
		die("line %u: wrong fields for '%s'", line_nr, kind);
	nr_entries++;
}

static void parse_list(const char *list, char **argv)
{
	char line[LINE_BYTES_MAX];
	unsigned int line_nr = 0;
	FILE *f = fopen(list, "re");

	if (!f)
		die("open '%s': %s", list, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		line_nr++;
		if (!strchr(line, '\n'))
			die("line %u: too long, or no end of line", line_nr);
		line[strcspn(line, "#\n")] = 0;
		if (line[strspn(line, " \t")])
			parse_line(line, line_nr, argv);
	}
	if (ferror(f))
		die("read '%s'", list);
	fclose(f);
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static const struct entry *find_entry(const char *path, size_t len)
{
	for (size_t i = 0; i < nr_entries; i++)
		if (strlen(entries[i].path) == len && !memcmp(entries[i].path, path, len))
			return &entries[i];
	return NULL;
}

/* The kernel unpacks in order and makes no missing directories. */
static void check_entries(void)
{
	for (size_t i = 0; i < nr_entries; i++) {
		const char *path = entries[i].path, *slash = strrchr(path, '/');
		const struct entry *dir;

		if (i && !strcmp(entries[i - 1].path, path))
			die("'/%s' is listed twice", path);
		if (!slash)
			continue;
		dir = find_entry(path, slash - path);
		if (!dir || !S_ISDIR(dir->mode))
			die("'/%s': its directory is not listed", path);
	}
}

static void pad(FILE *out, uint64_t size)
{
	static const char zeros[4];

	fwrite(zeros, 1, -size & 3, out);
}

static void put_header(FILE *out, const struct entry *e, size_t ino, uint64_t size)
{
	size_t name_size = strlen(e->path) + 1;

	/* ino mode uid gid nlink mtime size, device of the file system, device of the node, name size, no checksum */
	fprintf(out, "070701%08zX%08X%08X%08X%08X%08X%08jX%08X%08X%08X%08X%08zX%08X", ino, e->mode, 0, 0,
		S_ISDIR(e->mode) ? 2 : 1, 0, (uintmax_t)size, 0, 0, e->major, e->minor, name_size, 0);
	fwrite(e->path, 1, name_size, out);
	pad(out, 110 + name_size);
}

static void put_file(FILE *out, const struct entry *e, size_t ino)
{
	char buf[65536];
	uint64_t left;
	struct stat st;
	size_t n;
	FILE *in = fopen(e->arg, "re");

	if (!in || fstat(fileno(in), &st) < 0)
		die("open '%s': %s", e->arg, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size > UINT32_MAX)
		die("'%s' is no regular file below 4 GiB", e->arg);
	left = st.st_size;
	put_header(out, e, ino, left);
	while (left && (n = fread(buf, 1, left < sizeof(buf) ? left : sizeof(buf), in)) > 0) {
		fwrite(buf, 1, n, out);
		left -= n;
	}
	if (left)
		die("read '%s': shorter than it was", e->arg);
	pad(out, st.st_size);
	fclose(in);
}

static void put_entry(FILE *out, const struct entry *e, size_t ino)
{
	size_t len = strlen(e->arg);

	if (S_ISREG(e->mode)) {
		put_file(out, e, ino);
	} else {
		put_header(out, e, ino, len);
		fwrite(e->arg, 1, len, out);
		pad(out, len);
	}
}

int main(int argc, char **argv)
{
	static const struct entry trailer = { .path = "TRAILER!!!" };
	static char tmp[4096];
	FILE *out;

	if (argc < 3) {
		fputs("usage: mkcpio LIST OUT [NAME=FILE]...\n", stderr);
		return 2;
	}
	parse_list(argv[1], argv + 3);
	qsort(entries, nr_entries, sizeof(*entries), compare_entries);
	check_entries();

	if (snprintf(tmp, sizeof(tmp), "%s.tmp.%d", argv[2], (int)getpid()) >= (int)sizeof(tmp))
		die("'%s': path too long", argv[2]);
	out = fopen(tmp, "wxe");
	if (!out)
		die("open '%s': %s", tmp, strerror(errno));
	tmp_path = tmp;
	for (size_t i = 0; i < nr_entries; i++)
		put_entry(out, &entries[i], i + 1);
	put_header(out, &trailer, 0, 0);
	if (fflush(out) || ferror(out) || fclose(out))
		die("write '%s': %s", tmp, strerror(errno));
	if (rename(tmp, argv[2]) < 0)
		die("rename to '%s': %s", argv[2], strerror(errno));
	return 0;
}
