/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_PXAR_FORMAT_H
#define COMMON_PXAR_FORMAT_H

/*
 * pxar archives: item types, limits, grammar. Every item is u64 type, u64 size (these 16 bytes included), content.
 *
 *   archive    := ENTRY attrs dircontent             (unified; split metadata streams begin with
 *                                                     FORMAT_VERSION [PRELUDE])
 *   dircontent := ( FILENAME member )* [DIR_ERROR] GOODBYE
 *   member     := HARDLINK | ENTRY attrs ( [HOLES] PAYLOAD [ERROR] | PAYLOAD_REF | SYMLINK | DEVICE | | dircontent )
 *
 * Private items, only between our own agent and host (extract with ext=1); no archive on disk has them:
 *   HOLES  before PAYLOAD: u64 logical size, then pairs (u64 offset, u64 length) of data segments, ascending, not
 *          touching, at most PXAR_SEGMENTS_MAX; PAYLOAD then holds just these bytes, one segment after the other.
 *   ERROR  after the payload of a file that could not be read whole: u64 offset of the first bad byte (all ones: not
 *          known), errno name, NUL, text, NUL. What is missing of the payload was sent as zeros.
 *   DIR_ERROR  the same for a directory, before its GOODBYE (ERROR there would be its last member's).
 *   META_ERROR  among the attributes of any entry, at most once, content as of ERROR: some of its metadata could not be
 *          read. Its data is not concerned.
 *   XATTR_ANY  like XATTR, any name, any kind of entry.
 *   LINK   with a hard-linkable member that has several names: u64 device-wide file id, in front of the item that
 *          ends the entry. (HARDLINK still refers to the first name as the format says.)
 * An ENTRY whose member could not even be examined is mode 0100000 with PAYLOAD of size 0 and ERROR.
 */

#define PXAR_FORMAT_VERSION UINT64_C(0x730f6c75df16a40d)
#define PXAR_PRELUDE UINT64_C(0xe309d79d9f7b771b)
#define PXAR_ENTRY UINT64_C(0xd5956474e588acef)
#define PXAR_ENTRY_V1 UINT64_C(0x11da850a1c1cceff)
#define PXAR_FILENAME UINT64_C(0x16701121063917b3)
#define PXAR_SYMLINK UINT64_C(0x27f971e7dbf5dc5f)
#define PXAR_DEVICE UINT64_C(0x9fc9e906586d5ce9)
#define PXAR_XATTR UINT64_C(0x0dab0229b57dcd03)
#define PXAR_ACL_USER UINT64_C(0x2ce8540a457d55b8)
#define PXAR_ACL_GROUP UINT64_C(0x136e3eceb04c03ab)
#define PXAR_ACL_GROUP_OBJ UINT64_C(0x10868031e9582876)
#define PXAR_ACL_DEFAULT UINT64_C(0xbbbb13415a6896f5)
#define PXAR_ACL_DEFAULT_USER UINT64_C(0xc89357b40532cd1f)
#define PXAR_ACL_DEFAULT_GROUP UINT64_C(0xf90a8a5816038ffe)
#define PXAR_FCAPS UINT64_C(0x2da9dd9db5f7fb67)
#define PXAR_QUOTA_PROJID UINT64_C(0xe07540e82f7d1cbb)
#define PXAR_HARDLINK UINT64_C(0x51269c8422bd7275)
#define PXAR_PAYLOAD UINT64_C(0x28147a1b0b7c1a25)
#define PXAR_PAYLOAD_REF UINT64_C(0x419d3d6bc4ba977e)
#define PXAR_GOODBYE UINT64_C(0x2fec4fa642d5731d)
#define PXAR_GOODBYE_TAIL_MARKER UINT64_C(0xef5eed5b753e1555)
#define PXAR_PAYLOAD_START_MARKER UINT64_C(0x834c68c2194a4ed2)
#define PXAR_PAYLOAD_TAIL_MARKER UINT64_C(0x6c72b78b984c81b5)

/* SipHash-2-4 of "__PLUCK_PXAR_HOLES__", ..._ERROR__, ..._XATTR__, ..._LINKS__, ..._DIR_ERROR__, ..._META_ERROR__ under the key of the format */
#define PXAR_EXT_HOLES UINT64_C(0x506a4ddf78e90e21)
#define PXAR_EXT_ERROR UINT64_C(0xfbfa6164b2e8657c)
#define PXAR_EXT_XATTR_ANY UINT64_C(0x9d2885e836b04217)
#define PXAR_EXT_LINK UINT64_C(0xa6c7a48bc6d28dc6)
#define PXAR_EXT_DIR_ERROR UINT64_C(0x1e042fbab4fb72e7)
#define PXAR_EXT_META_ERROR UINT64_C(0xe6b38078f11cd35d)

#define PXAR_SIPHASH_K0 UINT64_C(0x83ac3f1cfbb450db)
#define PXAR_SIPHASH_K1 UINT64_C(0xaa4f1b6879369fbd)

#define PXAR_HEADER_SIZE 16
#define PXAR_NAME_MAX 4096		/* bytes without the NUL */
#define PXAR_TARGET_MAX 4096
#define PXAR_XATTR_NAME_MAX 255
#define PXAR_XATTR_VALUE_MAX 65536
#define PXAR_ATTRS_MAX (4 << 20)	/* bytes of all attributes of one entry */
#define PXAR_DEPTH_MAX 16384		/* nesting; joined paths are bounded by PXAR_PATH_MAX */
#define PXAR_PATH_MAX (1 << 20)
#define PXAR_SEGMENTS_MAX 65536
#define PXAR_ERROR_MAX 1024
#define PXAR_LINKS_MAX ((size_t)8 << 20)	/* files of one archive that are remembered for hard links to them */

/* ENTRY flags (feature bits that hold per-file attributes) */
#define PXAR_FLAG_APPEND (UINT64_C(1) << 16)
#define PXAR_FLAG_NOATIME (UINT64_C(1) << 17)
#define PXAR_FLAG_COMPRESS (UINT64_C(1) << 18)
#define PXAR_FLAG_NOCOW (UINT64_C(1) << 19)
#define PXAR_FLAG_NODUMP (UINT64_C(1) << 20)
#define PXAR_FLAG_DIRSYNC (UINT64_C(1) << 21)
#define PXAR_FLAG_IMMUTABLE (UINT64_C(1) << 22)
#define PXAR_FLAG_SYNC (UINT64_C(1) << 23)
#define PXAR_FLAG_NOCOMPRESS (UINT64_C(1) << 24)
#define PXAR_FLAG_PROJINHERIT (UINT64_C(1) << 25)

#define PXAR_ACL_NO_MASK UINT64_MAX

#endif
