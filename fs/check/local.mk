# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libcheck.a
libcheck_a_SOURCES = %D%/bucket.c %D%/cache.c %D%/check.c %D%/internal.h %D%/keys.c %D%/records.c %D%/renames.c \
	%D%/sessions.c %D%/uploads.c include/check/check.h
EXTRA_DIST += %D%/README.md
