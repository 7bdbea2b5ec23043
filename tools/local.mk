# SPDX-License-Identifier: Apache-2.0
EXTRA_DIST += %D%/README.md %D%/check %D%/quickstart %D%/lib.sh .ci/run
# mount(8) runs mount.s3efs from /sbin or /usr/sbin: with --prefix=/usr this is the place.
sbin_PROGRAMS = mount.s3efs
mount_s3efs_SOURCES = %D%/mount_helper.c
mount_s3efs_CPPFLAGS = $(AM_CPPFLAGS) -DS3EFS_BINDIR='"$(bindir)"'
mount_s3efs_LDADD =
