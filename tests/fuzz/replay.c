/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs a fuzz target over the files of its corpus, each also cut and flipped, without a fuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* An own allocation of the exact size, so that a sanitizer sees reads past the end. */
static void run_one(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy)
		abort();
	memcpy(copy, data, len);
	(void)LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static void run_file(uint8_t *data, size_t len)
{
	size_t step = len / 256 + 1;

	run_one(data, len);
	for (size_t cut = 0; cut < len; cut += step)
		run_one(data, cut);
	for (size_t at = 0; at < len; at += step) {
		data[at] ^= (uint8_t)(1u << at % 8);
		run_one(data, len);
		data[at] ^= (uint8_t)(1u << at % 8);
	}
}

int main(int argc, char **argv)
{
	CLEANUP_DIR DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
	unsigned int files = 0;
	struct dirent *de;

	if (!dir) {
		(void)fprintf(stderr, "usage: replay DIRECTORY\n");
		return 2;
	}
	while ((de = readdir(dir))) {
		CLEANUP_FREE char *data = NULL;
		size_t len;

		if (de->d_name[0] == '.')
			continue;
		if (io_read_file(dirfd(dir), de->d_name, 16 << 20, &data, &len) < 0)
			return 1;
		run_file((uint8_t *)data, len);
		files++;
	}
	(void)printf("%u files\n", files);
	return files ? 0 : 1;
}
