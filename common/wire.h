/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_WIRE_H
#define COMMON_WIRE_H

/*
 * The agent API: what host and agent agree on, and the only place where they meet.
 * docs/api.md describes it for readers, docs/openapi.yaml for tools.
 *
 * Transport: HTTP/1.1 over vsock; the host connects to WIRE_PORT of the guest. The agent connects once to
 * WIRE_READY_PORT of the host (CID 2) and sends WIRE_READY_LINE when it listens.
 *
 *   GET /api2/json/status?keep-timeout=1          no ticket needed; {"data":{"uptime":S,"timeout":S,"version":TEXT}}
 *   GET /api2/json/list?path=B64                  {"data":[...]} as the reference daemon answers
 *   GET /api2/json/list?path=B64&ext=1[&recursive=1]      JSON Lines, see below
 *   GET /api2/json/stat?path=B64                  {"data":ENTRY} with "xattrs": [{"name":B64,"value":B64}]
 *   GET /api2/json/map?path=B64                   {"data":{"size":N,"data":[[off,len],...]}} of a sparse file
 *   GET /api2/json/disks                          {"data":[VOLUME...]}
 *   GET /api2/json/extract?path=B64&format=plain|pxar[&ext=1][&offset=N&length=N][&filter=B64][&data=0]
 *   GET /api2/json/run?args=B64                   a program of the tools image; NUL-separated words
 *   GET /api2/json/stop
 *
 * Ticket: header "Authorization: <64 hex digits>". path: base64 of "DISK.img.fidx/part/1/etc", see docs/api.md.
 * Errors: status 4xx/5xx, body text/plain with the message, header "pluck-error: ENOENT" (errno name).
 *
 * ENTRY of ext=1, one object a line, unsorted, and each line at most WIRE_LINE_MAX bytes:
 *   {"path":B64,"type":"f","mode":33188,"uid":0,"gid":0,"size":5,"mtime":S,"mtime-nsec":N,"links":1,"inode":N,
 *    "target":B64,"rdev":[MAJ,MIN],"error":{"name":"EIO","text":"..."}}
 *   path: of the entry beneath the requested one, no leading slash; "" is the requested entry itself (sent alone for
 *   anything but a directory, and with "error" for a directory that could not be read to its end).
 *   type: d f l b c p s, v for kinds of buckets, d for a bucket itself (both without lstat fields; "size" if known).
 *   mtime is the floor.
 *   A missing field means "not known"; an entry that lstat refuses has path, type "?" and error.
 *
 * VOLUME: {"name","type","size","label","uuid","part-uuid","part-name","path","error","note","children":[VOLUME...]}
 *   path: B64 of what list takes (absent if it cannot be listed); type: "disk", "part", or the content's type as
 *   blkid names it ("ext4", "swap", "LVM2_member", ...); absent values are omitted.
 *
 * An entered directory that could not be read to its end comes a second time, with "error".
 *
 * Every answer to list?ext=1, extract and run is chunked and ends with the trailer fields below. Without a good
 * trailer the stream is incomplete. (The body of run is what the program wrote, stdout and stderr together.)
 * A stream that the agent had to give up ends with the single trailer field WIRE_HDR_ERROR (errno name) in their place.
 *
 * Work: before a worker of the agent touches a volume it connects to the host's port wire_work_port(), on which nothing is said, and
 * stays connected until it is done. So the host knows what was in work when a VM dies or hangs, and leaves that out of the next
 * VM: WIRE_FWCFG_LEFT_OUT has the ports, 8 hexadecimal digits and a line feed each.
 */

#include <stdint.h>

#define WIRE_PORT 807
#define WIRE_READY_PORT 808
#define WIRE_READY_LINE "READY 1\n"
#define WIRE_VERSION 1

#define WIRE_API "/api2/json"
#define WIRE_TICKET_HEX 64			/* hex digits: 32 random bytes */
#define WIRE_FWCFG_TICKET "opt/org.pluck/ticket"
#define WIRE_FWCFG_TICKET_PATH "/sys/firmware/qemu_fw_cfg/by_name/opt/org.pluck/ticket/raw"

#define WIRE_PATH_MAX 65536			/* bytes of a decoded path */
#define WIRE_LINE_MAX 262144			/* bytes of a JSON line */
#define WIRE_DEPTH_MAX 16384			/* directories below each other that a walk enters */
#define WIRE_CONN_MAX 64			/* connections at once */
#define WIRE_EXTRACT_MAX 32			/* extracts at once; one more is answered 503 */
#define WIRE_WATCHDOG_S 600			/* unless WIRE_FWCFG_WATCHDOG has another number of seconds, decimal */
#define WIRE_FWCFG_WATCHDOG "opt/org.pluck/watchdog"
#define WIRE_FWCFG_WATCHDOG_PATH "/sys/firmware/qemu_fw_cfg/by_name/opt/org.pluck/watchdog/raw"

#define WIRE_HDR_ERROR "pluck-error"
#define WIRE_HDR_NOTE "pluck-note"	/* of list, stat, map and extract: what is to be known of the volume, at most WIRE_NOTE_MAX bytes */
#define WIRE_NOTE_MAX 512
#define WIRE_TRAILER_ENTRIES "pluck-entries"	/* decimal: lines or archive members */
#define WIRE_TRAILER_BYTES "pluck-bytes"	/* decimal: body bytes */
#define WIRE_TRAILER_ERRORS "pluck-errors"	/* decimal: entries with an error */
#define WIRE_TRAILER_EXIT "pluck-exit"		/* run only: exit status, 128 + N for signal N */
#define WIRE_TRAILER_XXH64 "pluck-xxh64"	/* 16 hex digits over the body bytes, seed 0 */

/* Disk serials: a virtio-blk serial has 20 bytes, too few for names. The host gives "pluck-NNNN" (decimal slot) and
 * the agent learns names by fw_cfg: lines "NNNN NAME\n" in slot order, NAME without ".img.fidx". The host may rewrite
 * nothing after boot. */
#define WIRE_SERIAL_FMT "pluck-%04u"
#define WIRE_FWCFG_DISKS "opt/org.pluck/disks"
#define WIRE_FWCFG_DISKS_PATH "/sys/firmware/qemu_fw_cfg/by_name/opt/org.pluck/disks/raw"
/* How volumes are to be mounted, where the caller has a say: lines "KEY VALUE\n", each key at most once. No item or no line:
 * nothing was asked for.
 *   fs-type TYPE           take every volume for this type, whatever its signatures say
 *   fs-allow TYPE[,TYPE]   mount no other types
 *   superblock N           ext2, ext3, ext4: the superblock at N KiB
 *   checkpoint N           nilfs2: the state of this snapshot
 *   codepage N             FAT: of short names */
#define WIRE_FWCFG_MOUNT "opt/org.pluck/mount"
#define WIRE_FWCFG_MOUNT_PATH "/sys/firmware/qemu_fw_cfg/by_name/opt/org.pluck/mount/raw"
#define WIRE_MOUNT_MAX 1024			/* bytes of it */
#define WIRE_SERIAL_TOOLS "pluck-tools"		/* the on-demand tools image */
#define WIRE_DISK_NAME_MAX 255
#define WIRE_DISK_SUFFIX ".img.fidx"		/* optional behind a disk's name in a path */

#define WIRE_WORK_PORT 0x80000000u		/* this bit makes a port one of work */
#define WIRE_LEFT_OUT_MAX 64
#define WIRE_FWCFG_LEFT_OUT "opt/org.pluck/left-out"
#define WIRE_FWCFG_LEFT_OUT_PATH "/sys/firmware/qemu_fw_cfg/by_name/opt/org.pluck/left-out/raw"

/**
 * wire_work_port() - the port that stands for a volume
 * @volume: bucket and component ("part/1"); "" is the disk as a whole
 * Return: WIRE_WORK_PORT and 31 bits of FNV-1a over both; never the highest number, which vsock takes for "any".
 */
static inline uint32_t wire_work_port(unsigned int slot, const char *volume)
{
	uint32_t h = 2166136261u;

	h = (h ^ (slot & 0xff)) * 16777619u;
	for (; *volume; volume++)
		h = (h ^ (uint8_t)*volume) * 16777619u;
	h |= WIRE_WORK_PORT;
	return h == UINT32_MAX ? h - 1 : h;
}

#endif
