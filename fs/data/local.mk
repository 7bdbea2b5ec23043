# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libdata.a
libdata_a_SOURCES = %D%/commit.c %D%/data.c %D%/extents.c %D%/extents.h %D%/fetch.c %D%/file.c \
	%D%/flight.c %D%/internal.h %D%/move.c %D%/prefetch.c %D%/prefetch.h %D%/read.c %D%/source.c %D%/write.c \
	include/data/data.h
libdata_a_SOURCES += %D%/holes.c
libdata_a_SOURCES += %D%/freeze.c
libdata_a_SOURCES += %D%/restore.c
libdata_a_SOURCES += %D%/flight.h %D%/idle.c %D%/spare.c
EXTRA_DIST += %D%/README.md
