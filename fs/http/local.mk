# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libhttp.a
libhttp_a_SOURCES = include/http/http.h %D%/op.h %D%/engine.c %D%/call.c %D%/request.c %D%/response.c \
	%D%/backoff.c \
	%D%/gate.c %D%/memory.c
EXTRA_DIST += %D%/README.md
