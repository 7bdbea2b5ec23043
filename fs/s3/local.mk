# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libs3.a
libs3_a_SOURCES = include/s3/s3.h \
	%D%/body.c %D%/body.h \
	%D%/call.c %D%/call.h \
	%D%/checksum.c %D%/checksum.h \
	%D%/crc.c %D%/crc.h %D%/crc_fold.c %D%/crc_fold.h \
	%D%/error.c %D%/error.h \
	%D%/judge.c \
	%D%/list.c \
	%D%/multipart.c \
	%D%/remove.c %D%/remove_rest.c \
	%D%/reply.c \
	%D%/request.c %D%/request.h \
	%D%/response.c %D%/response.h \
	%D%/rfc2047.c %D%/rfc2047.h \
	%D%/s3.c \
	%D%/sign.c %D%/sign.h \
	%D%/tags.c \
	%D%/turn.c \
	%D%/xml.c %D%/xml.h \
	%D%/xml_chars.c %D%/xml_chars.h
EXTRA_DIST += %D%/README.md
