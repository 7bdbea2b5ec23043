# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libvfs.a
libvfs_a_SOURCES =
EXTRA_DIST += %D%/README.md
