# SPDX-License-Identifier: Apache-2.0
# On a real mount, over a fake vfs: needs /dev/fuse and root, else it is skipped.
front_fake = %D%/fakevfs.c %D%/fakevfs.h %D%/frontmount.h
front_tests =
front_tests += tests/unit/front/test_front
tests_unit_front_test_front_SOURCES = %D%/test_front.c $(front_fake)
tests_unit_front_test_front_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_front_test_front_LDADD = libfront.a $(LIBS_base) $(FUSE_LIBS) $(CMOCKA_LIBS)
front_tests += tests/unit/front/test_pages
tests_unit_front_test_pages_SOURCES = %D%/test_pages.c $(front_fake)
tests_unit_front_test_pages_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_front_test_pages_LDADD = libfront.a $(LIBS_base) $(FUSE_LIBS) $(CMOCKA_LIBS)
front_tests += tests/unit/front/test_end
tests_unit_front_test_end_SOURCES = %D%/test_end.c $(front_fake)
tests_unit_front_test_end_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_front_test_end_LDADD = libfront.a $(LIBS_base) $(FUSE_LIBS) $(CMOCKA_LIBS)
front_tests += tests/unit/front/test_front_locks
tests_unit_front_test_front_locks_SOURCES = %D%/test_front_locks.c $(front_fake)
tests_unit_front_test_front_locks_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_front_test_front_locks_LDADD = libfront.a $(LIBS_base) $(FUSE_LIBS) $(CMOCKA_LIBS)
front_tests += tests/unit/front/test_signals
tests_unit_front_test_signals_SOURCES = %D%/test_signals.c $(front_fake)
tests_unit_front_test_signals_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_front_test_signals_LDADD = libfront.a $(LIBS_base) $(FUSE_LIBS) $(CMOCKA_LIBS)
front_tests += tests/unit/front/test_prune
tests_unit_front_test_prune_SOURCES = %D%/test_prune.c $(front_fake)
tests_unit_front_test_prune_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_front_test_prune_LDADD = libfront.a $(LIBS_base) $(FUSE_LIBS) $(CMOCKA_LIBS)
front_tests += tests/unit/front/test_teller
tests_unit_front_test_teller_SOURCES = %D%/test_teller.c %D%/fakevfs.c %D%/fakevfs.h
tests_unit_front_test_teller_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_front_test_teller_LDADD = libfront.a $(LIBS_base) $(FUSE_LIBS) $(CMOCKA_LIBS)
front_tests += tests/unit/front/test_unanswered
tests_unit_front_test_unanswered_SOURCES = %D%/test_unanswered.c
tests_unit_front_test_unanswered_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_front_test_unanswered_LDADD = libfront.a $(LIBS_base) $(CMOCKA_LIBS)
front_tests += tests/unit/front/test_backing
tests_unit_front_test_backing_SOURCES = %D%/test_backing.c
tests_unit_front_test_backing_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_front_test_backing_LDADD = libfront.a $(LIBS_base) $(FUSE_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += $(front_tests)
TESTS += $(front_tests)

check_PROGRAMS += tests/unit/front/test_kill
TESTS += tests/unit/front/test_kill
tests_unit_front_test_kill_SOURCES = %D%/test_kill.c
tests_unit_front_test_kill_LDADD = libfront.a $(LIBS_base) $(CMOCKA_LIBS)


check_PROGRAMS += tests/unit/front/test_takeover
TESTS += tests/unit/front/test_takeover
tests_unit_front_test_takeover_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=umount2
tests_unit_front_test_takeover_SOURCES = %D%/test_takeover.c %D%/fakevfs.c %D%/fakevfs.h
tests_unit_front_test_takeover_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_front_test_takeover_LDADD = libfront.a $(LIBS_base) $(FUSE_LIBS) $(CMOCKA_LIBS)
