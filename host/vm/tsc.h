/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_VM_TSC_H
#define HOST_VM_TSC_H

#include <stdint.h>

/**
 * tsc_khz() - rate of the host's time stamp counter, which is the guest's under TCG
 * Without it the guest kernel calibrates against an emulated timer, fails on a busy host and hangs.
 * Return: kHz; 0 where it cannot be told (no x86).
 */
uint32_t tsc_khz(void);

#endif
