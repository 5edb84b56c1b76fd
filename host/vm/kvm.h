/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_VM_KVM_H
#define HOST_VM_KVM_H

#include <stdbool.h>

/**
 * kvm_usable() - does /dev/kvm run 64-bit guest code at full speed?
 * There are nested hypervisors whose /dev/kvm opens, and even runs a few instructions, but takes minutes for a kernel. So a loop of
 * a million iterations must end within 20 ms of processor time. Done in a child process; the answer is kept for this boot.
 */
bool kvm_usable(void);

/** kvm_distrust() - a VM did not come up with it: not usable for the rest of this boot. */
void kvm_distrust(void);

/** kvm_probe() - the same, asked anew. */
bool kvm_probe(void);

#endif
