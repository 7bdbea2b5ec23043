# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libstore.a
libstore_a_SOURCES = %D%/backend.c %D%/meter.c %D%/page.c %D%/store.c \
	%D%/dir.c %D%/dir_file.c %D%/dir_int.h %D%/dir_io.c %D%/dir_key.c %D%/dir_list.c %D%/dir_meta.c \
	%D%/dir_mpu.c %D%/dir_obj.c %D%/dir_sweep.c \
	include/store/backend.h include/store/dir.h include/store/meter.h include/store/probe.h \
	include/store/store.h
EXTRA_DIST += %D%/README.md
