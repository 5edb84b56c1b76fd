/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COMMON_SANITIZED_H
#define COMMON_SANITIZED_H

/*
 * Is this a build with the address sanitizer? It opens files, starts threads, forks a tracer at the end and reserves address space
 * without measure, so that filters and limits of our own are left out there.
 */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#endif
