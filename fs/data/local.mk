# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libdata.a
libdata_a_SOURCES =
EXTRA_DIST += %D%/README.md
