# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libfront.a
libfront_a_SOURCES = %D%/init.c %D%/internal.h %D%/kill.c %D%/notify.c %D%/ops_attr.c %D%/ops_data.c %D%/ops_dir.c \
	%D%/ops_lock.c %D%/ops_name.c %D%/ops_range.c %D%/ops_xattr.c %D%/reply.c %D%/session.c %D%/takeover.c include/front/front.h
EXTRA_DIST += %D%/README.md
libfront_a_SOURCES += %D%/backing.c
libfront_a_SOURCES += %D%/prune.c
libfront_a_SOURCES += %D%/readahead.c
libfront_a_SOURCES += %D%/takeinit.c
libfront_a_SOURCES += %D%/teller.c
libfront_a_SOURCES += %D%/unansmem.h
libfront_a_SOURCES += %D%/unanstake.c
libfront_a_SOURCES += %D%/unanswered.c
libfront_a_SOURCES += %D%/unanswered.h
