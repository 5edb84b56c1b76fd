/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_VM_WARDEN_H
#define HOST_VM_WARDEN_H

/*
 * The warden, "pluck __jail": a process of its own between the session and bubblewrap, which ends the jail when the session is gone.
 *
 * bubblewrap ties its processes to its parent only some time after they were made (--die-with-parent), and does not look whether that still lives. A
 * session that is killed in between would leave a VM, or half of one that waits for ever. The warden sees the session's end by a
 * pipe, which cannot be missed, kills bubblewrap, and as subreaper gets and kills whatever that leaves.
 * It runs as the jail's user, has no descriptor but the pipe, and reads nothing. Its exit status is that of bubblewrap, 128 and the
 * signal's number if one ended it.
 */

/**
 * warden_main() - does not return but when something is wrong with its words
 * @argv: LIFE_FD OWN_FD ADDRESS_SPACE PROGRAM ARGS...: the pipe, the descriptor it was started by, bytes
 * Return: exit status.
 */
int warden_main(char **argv);

#endif
