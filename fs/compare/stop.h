/* SPDX-License-Identifier: Apache-2.0 */
/* A signal ends a run in good order. Any thread. */
#ifndef S3EFS_FS_COMPARE_STOP_H
#define S3EFS_FS_COMPARE_STOP_H

/* SIGINT, SIGTERM and SIGHUP, from now on; each works once, the second time it ends the process. */
void stop_install(void);
/* The signal that came, or 0. */
int stop_signal(void);

#endif
