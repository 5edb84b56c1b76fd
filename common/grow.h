/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_GROW_H
#define COMMON_GROW_H

/* Arrays that grow by one element after another. */

#include <stddef.h>

/**
 * grow() - room for one element more, twice as much as there was when it is full
 * @array: address of the pointer to the elements (NULL at first), which may move
 * @room:  elements that fit, 0 at first
 * @nr:    elements that are there
 * @size:  bytes of one
 * Return: 0; -ENOMEM, nothing has changed then.
 */
int grow(void *array, size_t *room, size_t nr, size_t size);

#endif
