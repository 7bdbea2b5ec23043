# SPDX-License-Identifier: Apache-2.0
# On a real mount, over a fake vfs: needs /dev/fuse and root, else it is skipped.
check_PROGRAMS += tests/unit/front/test_front
TESTS += tests/unit/front/test_front
tests_unit_front_test_front_SOURCES = %D%/test_front.c %D%/fakevfs.c %D%/fakevfs.h
tests_unit_front_test_front_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_front_test_front_LDADD = libfront.a $(LIBS_base) $(FUSE_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/front/test_kill
TESTS += tests/unit/front/test_kill
tests_unit_front_test_kill_SOURCES = %D%/test_kill.c
tests_unit_front_test_kill_LDADD = libfront.a $(LIBS_base) $(CMOCKA_LIBS)

