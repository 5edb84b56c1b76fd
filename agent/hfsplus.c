/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/hfsplus.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/cur.h"
#include "common/io.h"

#define EXTENTS_FILE 3
#define CATALOG_FILE 4
#define NODE_MIN 512
#define NODE_MAX 32768
#define DEPTH_MAX 16
#define LEAVES_MAX 65536	/* of one folder */
#define RECORD_FILE 2
#define RECORD_FILE_THREAD 4
#define KIND_LEAF 0xff
#define KIND_INDEX 0

struct tree {
	const struct hfsplus *h;
	const struct hfsplus_fork *fork;
	uint32_t root, node_size;
	uint16_t depth;
};

struct node {
	uint8_t bytes[NODE_MAX];
	uint32_t size, next;
	uint8_t kind;
	uint16_t nr;
};

/* What is looked for: compares a key, without its length, with it. */
struct wanted {
	int (*compare)(struct cur key, const struct wanted *w);
	uint32_t id, block;
	uint8_t type;
};

static int parse_fork(struct cur *c, uint32_t id, uint8_t type, struct hfsplus_fork *ret)
{
	ret->id = id;
	ret->type = type;
	if (cur_u64be(c, &ret->size) < 0 || cur_skip(c, 8) < 0)
		return -EUCLEAN;
	for (size_t i = 0; i < 8; i++)
		if (cur_u32be(c, &ret->extent[i].start) < 0 || cur_u32be(c, &ret->extent[i].count) < 0)
			return -EUCLEAN;
	return 0;
}

static int open_tree(const struct hfsplus *h, const struct hfsplus_fork *fork, struct tree *ret)
{
	uint8_t head[14 + 106];
	struct cur c = cur_of(head, sizeof(head));
	uint16_t node_size;
	int r = hfsplus_read(h, fork, 0, head, sizeof(head));

	if (r < 0)
		return r;
	/* node descriptor; depth, root, leaf records, first and last leaf, size of a node */
	if (cur_skip(&c, 14) < 0 || cur_u16be(&c, &ret->depth) < 0 || cur_u32be(&c, &ret->root) < 0 || cur_skip(&c, 12) < 0 ||
	    cur_u16be(&c, &node_size) < 0 || node_size < NODE_MIN || node_size > NODE_MAX || ret->depth > DEPTH_MAX)
		return -EUCLEAN;
	ret->h = h;
	ret->fork = fork;
	ret->node_size = node_size;
	return 0;
}

static int read_node(const struct tree *t, uint32_t number, struct node *ret)
{
	struct cur c = cur_of(ret->bytes, t->node_size);
	int r = hfsplus_read(t->h, t->fork, (uint64_t)number * t->node_size, ret->bytes, t->node_size);

	if (r < 0)
		return r;
	ret->size = t->node_size;
	if (cur_u32be(&c, &ret->next) < 0 || cur_skip(&c, 4) < 0 || cur_u8(&c, &ret->kind) < 0 || cur_skip(&c, 1) < 0 ||
	    cur_u16be(&c, &ret->nr) < 0 || ret->nr > (t->node_size - 14) / 4)
		return -EUCLEAN;
	return 0;
}

/* The @i-th record of a node: its key, without the length before it, and what follows. */
static int record(const struct node *n, unsigned int i, struct cur *ret_key, struct cur *ret_data)
{
	struct cur table = cur_of(n->bytes, n->size), c = table;
	uint16_t off, key_len;

	if (cur_skip(&table, n->size - 2 * (i + 1)) < 0 || cur_u16be(&table, &off) < 0 || cur_skip(&c, off) < 0 ||
	    cur_u16be(&c, &key_len) < 0 || cur_sub(&c, key_len, ret_key) < 0)
		return -EUCLEAN;
	*ret_data = c;
	return 0;
}

/* The last record of a node that is not behind what is wanted. Return: its index; -ENOENT if all are behind; -EUCLEAN. */
static int last_before(const struct node *n, const struct wanted *w)
{
	int found = -ENOENT;

	for (unsigned int i = 0; i < n->nr; i++) {
		struct cur key, data;

		if (record(n, i, &key, &data) < 0)
			return -EUCLEAN;
		if (w->compare(key, w) > 0)
			break;
		found = (int)i;
	}
	return found;
}

/* The leaf where it would be. Return: index of the last record there that is not behind it; -ENOENT with the leaf read; -EUCLEAN. */
static int descend(const struct tree *t, const struct wanted *w, struct node *n)
{
	uint32_t number = t->root;

	for (unsigned int level = 0; level < t->depth; level++) {
		struct cur key, data;
		int i, r = read_node(t, number, n);

		if (r < 0)
			return r;
		i = last_before(n, w);
		if (n->kind == KIND_LEAF || i == -EUCLEAN)
			return i;
		if (n->kind != KIND_INDEX || !n->nr || record(n, i < 0 ? 0 : (unsigned int)i, &key, &data) < 0 ||
		    cur_u32be(&data, &number) < 0)
			return -EUCLEAN;
	}
	return -EUCLEAN;
}

/* Keys of the extents tree: type of the fork, padding, file, first block in the file; ordered by file, type, block. */
static int compare_extent(struct cur key, const struct wanted *w)
{
	uint8_t type;
	uint32_t id, block;

	if (cur_u8(&key, &type) < 0 || cur_skip(&key, 1) < 0 || cur_u32be(&key, &id) < 0 || cur_u32be(&key, &block) < 0)
		return 1;
	if (id != w->id)
		return id < w->id ? -1 : 1;
	if (type != w->type)
		return type < w->type ? -1 : 1;
	return (block > w->block) - (block < w->block);
}

/* Keys of the catalog: folder, name. Nothing but the folder is needed, and that the empty name comes first. */
static int compare_folder(struct cur key, const struct wanted *w)
{
	uint32_t parent;
	uint16_t name_len;

	if (cur_u32be(&key, &parent) < 0 || cur_u16be(&key, &name_len) < 0)
		return 1;
	if (parent != w->id)
		return parent < w->id ? -1 : 1;
	return name_len ? 1 : 0;
}

/* Where block @block of a fork is, among extents that begin at its block @first. Return: whether it is there. */
static bool in_extents(const struct hfsplus_extent *v, uint64_t first, uint64_t block, uint64_t *ret, uint64_t *ret_run)
{
	for (size_t i = 0; i < 8; i++) {
		if (block >= first && block - first < v[i].count) {
			*ret = v[i].start + (block - first);
			*ret_run = v[i].count - (block - first);
			return true;
		}
		first += v[i].count;
	}
	return false;
}

static int in_overflow(const struct hfsplus *h, const struct hfsplus_fork *f, uint64_t block, uint64_t *ret,
		       uint64_t *ret_run)
{
	CLEANUP_FREE struct node *n = malloc(sizeof(*n));
	const struct wanted w = { compare_extent, f->id, (uint32_t)block, f->type };
	struct hfsplus_extent v[8];
	struct cur key, data;
	uint32_t id, first;
	uint8_t type;
	struct tree t;
	int r = n ? open_tree(h, &h->extents, &t) : -ENOMEM;

	if (r == 0)
		r = descend(&t, &w, n);
	if (r < 0)
		return r == -ENOENT ? -EUCLEAN : r;
	if (record(n, (unsigned int)r, &key, &data) < 0 || cur_u8(&key, &type) < 0 || cur_skip(&key, 1) < 0 ||
	    cur_u32be(&key, &id) < 0 || cur_u32be(&key, &first) < 0 || id != f->id || type != f->type)
		return -EUCLEAN;
	for (size_t i = 0; i < 8; i++)
		if (cur_u32be(&data, &v[i].start) < 0 || cur_u32be(&data, &v[i].count) < 0)
			return -EUCLEAN;
	return in_extents(v, first, block, ret, ret_run) ? 0 : -EUCLEAN;
}

int hfsplus_read(const struct hfsplus *h, const struct hfsplus_fork *f, uint64_t off, void *p, size_t len)
{
	uint8_t *to = p;

	if (len > f->size || off > f->size - len)
		return -ERANGE;
	while (len) {
		const uint64_t block = off / h->block_size, in = off % h->block_size;
		uint64_t at, run, n;
		int r;

		if (block > UINT32_MAX)
			return -EUCLEAN;
		if (!in_extents(f->extent, 0, block, &at, &run)) {
			if (f->id == EXTENTS_FILE)
				return -EUCLEAN;
			r = in_overflow(h, f, block, &at, &run);
			if (r < 0)
				return r;
		}
		n = run * h->block_size - in;
		if (n > len)
			n = len;
		r = io_pread_full(h->fd, to, (size_t)n, h->base + at * h->block_size + in);
		if (r < 0)
			return r;
		off += n;
		to += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Beginning of an HFS+ volume in an HFS wrapper. */
static int embedded(struct cur c, uint64_t *ret)
{
	uint32_t block_size;
	uint16_t first, magic, start;

	/* size of allocation blocks at 0x14, first of them at 0x1c in sectors; signature and position of the volume in it at 0x7c */
	if (cur_skip(&c, 0x14) < 0 || cur_u32be(&c, &block_size) < 0 || cur_skip(&c, 4) < 0 || cur_u16be(&c, &first) < 0 ||
	    cur_skip(&c, 0x5e) < 0 || cur_u16be(&c, &magic) < 0 || cur_u16be(&c, &start) < 0 || magic != 0x482b)
		return -EUCLEAN;
	*ret = (uint64_t)first * 512 + (uint64_t)start * block_size;
	return 0;
}

int hfsplus_open(int fd, struct hfsplus *ret)
{
	struct hfsplus h = { .fd = fd };
	uint8_t head[512];
	uint16_t magic;
	struct cur c;

	for (int i = 0; i < 2; i++) {
		int r = io_pread_full(fd, head, sizeof(head), h.base + 1024);

		if (r < 0)
			return r;
		c = cur_of(head, sizeof(head));
		if (cur_u16be(&c, &magic) < 0)
			return -EUCLEAN;
		if (magic != 0x4244)
			break;
		if (i || embedded(cur_of(head, sizeof(head)), &h.base) < 0)
			return -EUCLEAN;
	}
	if ((magic != 0x482b && magic != 0x4858) || cur_skip(&c, 38) < 0 || cur_u32be(&c, &h.block_size) < 0 ||
	    h.block_size < 512 || h.block_size > 1 << 20 || (h.block_size & (h.block_size - 1)))
		return -EUCLEAN;
	/* 68 bytes on come the forks of 80 bytes each: allocation file, extents, catalog */
	if (cur_skip(&c, 68 + 80) < 0 || parse_fork(&c, EXTENTS_FILE, 0, &h.extents) < 0 ||
	    parse_fork(&c, CATALOG_FILE, 0, &h.catalog) < 0)
		return -EUCLEAN;
	*ret = h;
	return 0;
}

/* The folder of a file, from its thread record. */
static int parent_of(const struct tree *t, uint32_t id, struct node *n, uint32_t *ret)
{
	const struct wanted w = { .compare = compare_folder, .id = id };
	struct cur key, data;
	uint16_t type;
	int r = descend(t, &w, n);

	if (r < 0)
		return r;
	if (record(n, (unsigned int)r, &key, &data) < 0 || cur_u16be(&data, &type) < 0 || cur_skip(&data, 2) < 0 ||
	    cur_u32be(&data, ret) < 0)
		return -EUCLEAN;
	return compare_folder(key, &w) == 0 && type == RECORD_FILE_THREAD ? 0 : -ENOENT;
}

/* Is this record the file? Return: 1 with its resource fork; 0; -ENOENT behind the folder; -EUCLEAN. */
static int is_file(const struct node *n, unsigned int i, uint32_t parent, uint32_t id, struct hfsplus_fork *ret)
{
	struct cur key, data;
	uint32_t own_parent, own;
	uint16_t type;

	if (record(n, i, &key, &data) < 0 || cur_u32be(&key, &own_parent) < 0 || cur_u16be(&data, &type) < 0)
		return -EUCLEAN;
	if (own_parent > parent)
		return -ENOENT;
	if (own_parent < parent || type != RECORD_FILE)
		return 0;
	/* its id at 8, data fork at 88, resource fork at 168 */
	if (cur_skip(&data, 6) < 0 || cur_u32be(&data, &own) < 0)
		return -EUCLEAN;
	if (own != id)
		return 0;
	return cur_skip(&data, 168 - 12) < 0 || parse_fork(&data, id, 0xff, ret) < 0 ? -EUCLEAN : 1;
}

int hfsplus_resource(const struct hfsplus *h, uint32_t id, struct hfsplus_fork *ret)
{
	CLEANUP_FREE struct node *n = malloc(sizeof(*n));
	struct wanted w = { .compare = compare_folder };
	struct tree t;
	int r = n ? open_tree(h, &h->catalog, &t) : -ENOMEM;

	if (r == 0)
		r = parent_of(&t, id, n, &w.id);
	if (r < 0)
		return r;
	r = descend(&t, &w, n);
	if (r < 0 && r != -ENOENT)
		return r;
	/* names are in an order that depends on the volume, so the folder is read through */
	for (unsigned int leaf = 0; leaf < LEAVES_MAX; leaf++) {
		for (unsigned int i = 0; i < n->nr; i++) {
			r = is_file(n, i, w.id, id, ret);
			if (r)
				return r < 0 ? r : 0;
		}
		if (!n->next)
			return -ENOENT;
		r = read_node(&t, n->next, n);
		if (r < 0 || n->kind != KIND_LEAF)
			return r < 0 ? r : -EUCLEAN;
	}
	return -ENOENT;
}
