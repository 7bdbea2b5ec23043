# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libstore.a
libstore_a_SOURCES = %D%/backend.c %D%/meter.c %D%/page.c %D%/store.c \
	include/store/backend.h include/store/dir.h include/store/meter.h include/store/probe.h \
	include/store/store.h
EXTRA_DIST += %D%/README.md
