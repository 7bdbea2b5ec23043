# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libcache.a
libcache_a_SOURCES = %D%/attr.c %D%/blockmap.c %D%/blocks.c %D%/crc.c %D%/crc.h %D%/drops.c %D%/evict.c \
	%D%/fds.c %D%/index.c %D%/keep.c %D%/kept.c %D%/keys.c %D%/layout.c %D%/layout.h %D%/list.c %D%/listput.c \
	%D%/meta.c %D%/meta.h %D%/open.c %D%/priv.h %D%/schema.c %D%/schema.h %D%/seal.c %D%/seal.h \
	%D%/stage.c %D%/stage.h %D%/stats.c %D%/sweep.c %D%/touch.c include/cache/cache.h
libcache_a_SOURCES += %D%/apart.c %D%/apart.h
libcache_a_SOURCES += %D%/health.c
libcache_a_SOURCES += %D%/listafter.c
libcache_a_SOURCES += %D%/listing.c
libcache_a_SOURCES += %D%/jbatch.c
libcache_a_SOURCES += %D%/jfiles.c
libcache_a_SOURCES += %D%/jindex.c %D%/jindex.h
libcache_a_SOURCES += %D%/journal.c %D%/jrn.h include/cache/journal.h
libcache_a_SOURCES += %D%/jpeek.c
libcache_a_SOURCES += %D%/jrec.c %D%/jrec.h
libcache_a_SOURCES += %D%/jscan.c
libcache_a_SOURCES += %D%/jstart.c
libcache_a_SOURCES += %D%/jtable.c
libcache_a_SOURCES += %D%/mapped.c %D%/mapped.h
libcache_a_SOURCES += %D%/metacopy.c %D%/metaint.h
libcache_a_SOURCES += %D%/metarec.c
libcache_a_SOURCES += %D%/scrub.c
libcache_a_SOURCES += %D%/whole.c
libcache_a_SOURCES += include/cache/scrub.h
EXTRA_DIST += %D%/README.md
libcache_a_SOURCES += %D%/table.c %D%/tabledir.h %D%/tablestage.c include/cache/table.h
