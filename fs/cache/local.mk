# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libcache.a
libcache_a_SOURCES =
EXTRA_DIST += %D%/README.md
