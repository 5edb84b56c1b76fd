/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_NTFS_H
#define AGENT_NTFS_H

/* What the kernel's NTFS driver does not show of a file: its alternate data streams, read by libntfs-3g from the device. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct holes;
struct ntfs;

/** ntfs_open() - @dev: kernel name of a device with an NTFS. Nothing is written. Return: 0; negative errno. */
int ntfs_open(const char *dev, struct ntfs **ret);
void ntfs_close(struct ntfs *n);

/**
 * ntfs_each_stream() - the named data streams of a file or directory
 * @ino:  number of its MFT record, which the driver gives as the inode's
 * @fn:   called with each name (UTF-8), size, and a handle for ntfs_read_stream(); negative ends it
 * Return: 0; what @fn returned; negative errno.
 */
typedef int ntfs_stream_fn(void *arg, const char *name, uint64_t size, void *stream);
int ntfs_each_stream(struct ntfs *n, uint64_t ino, ntfs_stream_fn *fn, void *arg);

/** ntfs_read_stream() - the first @len bytes. Return: 0; negative errno. */
int ntfs_read_stream(void *stream, void *p, size_t len);

struct ntfs_stream;

/**
 * ntfs_stream_open() - a data stream by its name, whatever its size
 * @ino: number of the MFT record of its file or directory; @name: UTF-8, not empty
 * Return: 0; -ENOENT; negative errno. To be closed before the volume is.
 */
int ntfs_stream_open(struct ntfs *n, uint64_t ino, const char *name, struct ntfs_stream **ret);
void ntfs_stream_close(struct ntfs_stream *s);
uint64_t ntfs_stream_size(const struct ntfs_stream *s);

/** ntfs_stream_read() - some of the bytes at @off. Return: their number, 0 at the end; negative errno. */
ssize_t ntfs_stream_read(struct ntfs_stream *s, uint64_t off, void *p, size_t len);

/**
 * ntfs_stream_map() - where it has data: neither holes, nor what was never written
 * Runs that the stream should have and does not are data, so that reading them tells. Return: 0; -ENOMEM.
 */
int ntfs_stream_map(struct ntfs_stream *s, struct holes *ret);

/**
 * ntfs_record_has_streams() - may the file of an MFT record have named data streams?
 * @p: the record, its fixups undone
 * Return: false only if it is sound and neither names one nor has further records.
 */
bool ntfs_record_has_streams(const uint8_t *p, size_t len);

/** ntfs_record_has_descriptor() - the same of a security descriptor in the record itself, where Windows had them before 2000. */
bool ntfs_record_has_descriptor(const uint8_t *p, size_t len);

/** ntfs_read_descriptor() - that descriptor into @room bytes. Return: its length; -ENODATA if there is none; -E2BIG; negative errno. */
ssize_t ntfs_read_descriptor(struct ntfs *n, uint64_t ino, void *ret, size_t room);

#define NTFS_REPARSE_MAX 16384

/**
 * ntfs_read_reparse() - the reparse point of a file or directory
 * @ret:     NTFS_REPARSE_MAX bytes: what is behind tag and length
 * Return: 0; -ENODATA if it has none; -EUCLEAN; negative errno.
 */
int ntfs_read_reparse(struct ntfs *n, uint64_t ino, uint32_t *ret_tag, uint8_t *ret, size_t *ret_len);

/**
 * ntfs_link_target() - where a reparse point leads that the driver cannot read: a link of WSL, or a volume mounted on a directory
 * @ret: @room bytes; a string
 * Return: its length; -EINVAL for other tags; -EUCLEAN.
 */
ptrdiff_t ntfs_link_target(uint32_t tag, const uint8_t *p, size_t len, char *ret, size_t room);

#define NTFS_HIBERNATION_FILE "hiberfil.sys"
#define NTFS_HIBERNATION_HEAD 4		/* bytes at its beginning */

/** ntfs_says_hibernated() - do they tell of a Windows that is to be resumed? */
bool ntfs_says_hibernated(const uint8_t head[static NTFS_HIBERNATION_HEAD]);

/** ntfs_is_hibernated() - does that file, if it is there, say so? */
bool ntfs_is_hibernated(struct ntfs *n);

static inline void ntfs_closep(struct ntfs **n)
{
	ntfs_close(*n);
}

#endif
