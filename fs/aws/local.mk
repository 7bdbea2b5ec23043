# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libaws.a
libaws_a_SOURCES = include/aws/sigv4.h include/aws/endpoint.h include/aws/cred.h %D%/sigv4.c
EXTRA_DIST += %D%/README.md
