# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libupload.a
libupload_a_SOURCES = %D%/body.c %D%/commit.c %D%/doubt.c %D%/internal.h %D%/look.c %D%/marks.c %D%/marks.h %D%/multipart.c \
	%D%/parts.c %D%/plan.c %D%/plan.h include/upload/upload.h
libupload_a_SOURCES += %D%/copy.c
libupload_a_SOURCES += %D%/tags.c
EXTRA_DIST += %D%/README.md
