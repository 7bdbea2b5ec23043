# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libcoord.a
libcoord_a_SOURCES = %D%/coord.c %D%/internal.h %D%/record.c %D%/record.h include/coord/coord.h
EXTRA_DIST += %D%/README.md
