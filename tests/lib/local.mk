# SPDX-License-Identifier: Apache-2.0
# The scripted HTTP server: LDADD libtesthttpd.a (and -lssl $(CRYPTO_LIBS) for its TLS half).
check_LIBRARIES += libtesthttpd.a
libtesthttpd_a_SOURCES = %D%/httpd.c %D%/httpd.h %D%/httpd_ask.c %D%/httpd_int.h %D%/httpd_tls.c
# What tests of several layers share. libtest.a: the bucket in memory and the store's conformance test.
check_LIBRARIES += libtest.a
libtest_a_SOURCES = %D%/memstore.c %D%/memstore.h %D%/memstore_int.h %D%/memstore_knobs.c \
	%D%/memstore_mpu.c %D%/memstore_obj.c %D%/conformance.c %D%/conformance.h %D%/conformance_int.h \
	%D%/conformance_obj.c %D%/conformance_key.c %D%/conformance_copy.c %D%/conformance_list.c \
	%D%/conformance_mpu.c %D%/conformance_race.c %D%/conformance_tags.c
libtest_a_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib
# A mount without a kernel, on that bucket.
check_LIBRARIES += libtestrig.a
libtestrig_a_SOURCES = %D%/rig.c %D%/rig.h
libtestrig_a_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir) -I$(top_srcdir)/tests/lib
# A disk that fails, ends the process, or loses power: the program's file calls go through it (and LMDB's).
check_LIBRARIES += libtestbaddisk.a
check_LIBRARIES += libtestbadalloc.a
libtestbaddisk_a_SOURCES = %D%/baddisk.c %D%/baddisk.h %D%/baddisk_calls.c \
	%D%/baddisk_crash.c %D%/baddisk_import.c %D%/baddisk_int.h %D%/baddisk_log.c %D%/each.c %D%/each.h
# The same for a whole mount, by LD_PRELOAD.
noinst_PROGRAMS += %D%/baddisk.so
%C%_baddisk_so_SOURCES = $(libtestbaddisk_a_SOURCES) %D%/baddisk_preload.c
%C%_baddisk_so_CFLAGS = $(AM_CFLAGS) -fPIC
%C%_baddisk_so_LDFLAGS = -pthread -shared
# What each test of "make check" is run with: one that hangs is ended, and says where. For a tool before the tests
# (valgrind): make check LOG_FLAGS="valgrind -q --error-exitcode=1" S3EFS_TEST_LIMIT=3600
EXTRA_DIST += %D%/stacks
check_PROGRAMS += %D%/limit
%C%_limit_SOURCES = %D%/limit.c
%C%_limit_LDADD =
LOG_COMPILER = $(top_builddir)/%D%/limit$(EXEEXT)
$(TEST_LOGS): %D%/limit$(EXEEXT)
libtestbadalloc_a_SOURCES = %D%/badalloc.c %D%/badalloc.h %D%/each.c %D%/each.h
BAD_ALLOC_WRAPS = -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=reallocarray -Wl,--wrap=strdup -Wl,--wrap=strndup -Wl,--wrap=asprintf -Wl,--wrap=__asprintf_chk -Wl,--wrap=realpath -Wl,--wrap=opendir -Wl,--wrap=fdopendir -Wl,--wrap=free -Wl,--wrap=pthread_create -Wl,--wrap=mdb_env_create -Wl,--wrap=mdb_txn_begin -Wl,--wrap=mdb_put -Wl,--wrap=mdb_del -Wl,--wrap=mdb_cursor_open -Wl,--wrap=mdb_txn_commit
# Allocations that fail: LDADD libtestbadalloc.a (after what allocates) and LDFLAGS with BAD_ALLOC_WRAPS.
