/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/jsonw.h"
#include "host/cli/cli.h"
#include "host/vm/vm.h"

static const char linux_banner[] = "Linux version ";

/* The word behind "Linux version " in an uncompressed kernel, whose format string of the same beginning is passed over. */
static void find_banner(const char *p, size_t len, struct buf *ret)
{
	const char *end = p + len;

	while (p && p < end && !ret->len) {
		p = memmem(p, (size_t)(end - p), linux_banner, sizeof(linux_banner) - 1);
		if (!p)
			break;
		p += sizeof(linux_banner) - 1;
		for (const char *c = p; c < end && *c > ' ' && *c <= '~' && *c != '%' && *p >= '0' && *p <= '9'; c++)
			buf_u8(ret, (uint8_t)*c);
	}
}

static void kernel_version(struct buf *ret)
{
	CLEANUP_FREE char *dir = NULL;
	CLEANUP_CLOSE int fd = -1;
	CLEANUP_BUF struct buf path = BUF_INIT;
	struct stat st;
	char *map;

	if (vm_find_libdir(&dir, NULL) < 0)
		return;
	buf_fmt(&path, "%s/vmlinux", dir);
	fd = buf_cstr(&path) ? open(buf_cstr(&path), O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= 0)
		return;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return;
	find_banner(map, (size_t)st.st_size, ret);
	(void)munmap(map, (size_t)st.st_size);
}

static void qemu_version(struct buf *ret)
{
	static const char before[] = "QEMU emulator version ";
	FILE *f = popen("qemu-system-x86_64 --version 2>/dev/null", "re");
	char line[256];

	if (!f)
		return;
	if (fgets(line, sizeof(line), f) && !strncmp(line, before, sizeof(before) - 1)) {
		char *v = line + sizeof(before) - 1;

		buf_add(ret, v, strcspn(v, " \n"));
	}
	(void)pclose(f);
}

static int run_version(const struct args *a)
{
	CLEANUP_BUF struct buf kernel = BUF_INIT, qemu = BUF_INIT, out = BUF_INIT;
	struct err err = ERR_INIT;
	struct jsonw w = JSONW(&out);
	enum cli_format format;
	int r = cli_format(a, &format, &err);

	if (r < 0)
		return cli_fail(&err, r);
	kernel_version(&kernel);
	qemu_version(&qemu);
	if (format == CLI_TEXT) {
		buf_fmt(&out, "pluck %s\n", PLUCK_VERSION);
		buf_fmt(&out, "kernel %s\n", kernel.len ? buf_cstr(&kernel) : "not found");
		buf_fmt(&out, "QEMU %s\n", qemu.len ? buf_cstr(&qemu) : "not found");
	} else {
		w.pretty = format == CLI_JSON_PRETTY;
		jsonw_object_begin(&w);
		jsonw_key_string(&w, "pluck", PLUCK_VERSION);
		if (kernel.len)
			jsonw_key_bytes(&w, "kernel", kernel.data, kernel.len);
		if (qemu.len)
			jsonw_key_bytes(&w, "qemu", qemu.data, qemu.len);
		jsonw_object_end(&w);
		buf_u8(&out, '\n');
	}
	(void)cli_out_buf(&out);
	return EXIT_OK;
}

const struct command cmd_version = {
	.name = "version",
	.usage = "",
	.help = "versions of pluck, the VM's kernel and QEMU",
	.opts = { cli_format_opts },
	.run = run_version,
};
