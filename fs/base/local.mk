# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libbase.a
libbase_a_SOURCES = %D%/buf.c %D%/clock.c %D%/err.c %D%/lock.c %D%/log.c %D%/map.c %D%/secret.c %D%/str.c %D%/strtime.c \
	%D%/origin.c %D%/sys.c %D%/sysfault.c %D%/sysfault.h %D%/workq.c \
	include/base/buf.h include/base/clock.h include/base/err.h include/base/lock.h include/base/log.h \
	include/base/macros.h include/base/map.h include/base/secret.h include/base/str.h include/base/sys.h include/base/workq.h
libbase_a_SOURCES += %D%/busguard.c include/base/busguard.h
libbase_a_SOURCES += %D%/sha256.c
libbase_a_SOURCES += include/base/sha256.h
libbase_a_SOURCES += include/base/origin.h
libbase_a_SOURCES += %D%/budget.c include/base/budget.h
EXTRA_DIST += %D%/README.md
EXTRA_DIST += %D%/crash.def
