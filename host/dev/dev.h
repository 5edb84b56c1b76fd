/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_DEV_DEV_H
#define HOST_DEV_DEV_H

/**
 * dev_main() - the device process: vhost-user-blk per slot and vhost-user-vsock, until STOP or the link ends
 * @link_fd: its end of the link. The process was exec'ed for this and holds no other descriptor but 0, 1, 2.
 * Return: process exit status.
 */
int dev_main(int link_fd);

#endif
