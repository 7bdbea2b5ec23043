# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libstore.a
libstore_a_SOURCES = %D%/backend.c %D%/caps.c %D%/meter.c %D%/page.c %D%/probe.c %D%/store.c \
	%D%/dir.c %D%/dir_file.c %D%/dir_int.h %D%/dir_io.c %D%/dir_key.c %D%/dir_list.c %D%/dir_meta.c \
	%D%/dir_names.c \
	%D%/dir_mpu.c %D%/dir_obj.c %D%/dir_sweep.c \
	include/store/backend.h include/store/dir.h include/store/meter.h include/store/probe.h \
	include/store/store.h
if FAULTS
libstore_a_SOURCES += %D%/fault.c %D%/fault_int.h %D%/fault_script.c include/store/fault.h
endif
EXTRA_DIST += %D%/README.md
