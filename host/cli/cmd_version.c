/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/jsonw.h"
#include "host/cli/cli.h"
#include "host/cli/versions.h"

static int run_version(const struct args *a)
{
	CLEANUP_BUF struct buf kernel = BUF_INIT, qemu = BUF_INIT, out = BUF_INIT;
	struct err err = ERR_INIT;
	struct jsonw w = JSONW(&out);
	enum cli_format format;
	int r = cli_format(a, &format, &err);

	if (r < 0)
		return cli_fail(&err, r);
	version_kernel(&kernel);
	version_qemu(&qemu);
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
