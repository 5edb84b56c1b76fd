/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_PXAR_DEC_ITEMS_H
#define COMMON_PXAR_DEC_ITEMS_H

/* Contents of single items; every function checks the whole of what it is given. */

#include "common/cur.h"
#include "common/pxar/entry.h"

/** dec_item_fits() - may an item of this type have @content bytes? Also: is the type known? */
bool dec_item_fits(uint64_t type, uint64_t content);

/** dec_item_text() - FILENAME, or a symlink's target if @target. Return: 0; -EBADMSG. */
int dec_item_text(struct cur c, bool target, char *ret, size_t *ret_len);

/** dec_item_entry() - ENTRY. Return: 0; -EBADMSG. */
int dec_item_entry(struct cur c, struct pxar_entry *ret);

/** dec_item_entry_v1() - ENTRY_V1. Return: 0; -EBADMSG. */
int dec_item_entry_v1(struct cur c, struct pxar_entry *ret);

/** dec_item_hardlink() - HARDLINK of the member whose FILENAME is at @pos. Return: 0; -EBADMSG. */
int dec_item_hardlink(struct cur c, uint64_t pos, char *ret_target, struct pxar_entry *ret);

/** dec_item_device() - DEVICE. Return: 0; -EBADMSG. */
int dec_item_device(struct cur c, struct pxar_entry *ret);

/** dec_item_payload_ref() - PAYLOAD_REF. Return: 0; -EBADMSG. */
int dec_item_payload_ref(struct cur c, struct pxar_entry *ret);

/** dec_item_error() - ERROR, DIR_ERROR or META_ERROR. Return: 0; -EBADMSG. */
int dec_item_error(struct cur c, struct pxar_error *ret);

#endif
