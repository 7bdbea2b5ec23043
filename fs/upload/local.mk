# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libupload.a
libupload_a_SOURCES =
EXTRA_DIST += %D%/README.md
