# SPDX-License-Identifier: Apache-2.0
vfs_tests = tests/unit/vfs/test_objattr tests/unit/vfs/test_vfs tests/unit/vfs/test_mounts \
            tests/unit/vfs/test_stale tests/unit/vfs/test_rename_open \
            tests/unit/vfs/test_threads tests/unit/vfs/test_state_prefix \
            tests/unit/vfs/test_believed
check_PROGRAMS += $(vfs_tests)
TESTS += $(vfs_tests)
tests_unit_vfs_test_objattr_SOURCES = %D%/test_objattr.c
tests_unit_vfs_test_objattr_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_vfs_test_objattr_LDADD = $(LIBS_vfs) $(CMOCKA_LIBS)
tests_unit_vfs_test_vfs_SOURCES = %D%/test_vfs.c
tests_unit_vfs_test_vfs_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_vfs_test_vfs_LDADD = libtestrig.a libtest.a $(LIBS_vfs) $(CMOCKA_LIBS)
tests_unit_vfs_test_mounts_SOURCES = %D%/test_mounts.c
tests_unit_vfs_test_mounts_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_vfs_test_mounts_LDADD = libtestrig.a libtest.a $(LIBS_vfs) $(CMOCKA_LIBS)
tests_unit_vfs_test_stale_SOURCES = %D%/test_stale.c
tests_unit_vfs_test_stale_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_vfs_test_stale_LDADD = libtestrig.a libtest.a $(LIBS_vfs) $(CMOCKA_LIBS)
tests_unit_vfs_test_rename_open_SOURCES = %D%/test_rename_open.c
tests_unit_vfs_test_rename_open_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_vfs_test_rename_open_LDADD = libtestrig.a libtest.a $(LIBS_vfs) $(CMOCKA_LIBS)
tests_unit_vfs_test_threads_SOURCES = %D%/test_threads.c
tests_unit_vfs_test_threads_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_vfs_test_threads_LDADD = libtestrig.a libtest.a $(LIBS_vfs) $(CMOCKA_LIBS)
EXTRA_DIST += %D%/onemount.h
tests_unit_vfs_test_state_prefix_SOURCES = %D%/test_state_prefix.c
tests_unit_vfs_test_state_prefix_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_vfs_test_state_prefix_LDADD = libtestrig.a libtest.a $(LIBS_vfs) $(CMOCKA_LIBS)
tests_unit_vfs_test_believed_SOURCES = %D%/test_believed.c
tests_unit_vfs_test_believed_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_vfs_test_believed_LDADD = libtestrig.a libtest.a $(LIBS_vfs) $(CMOCKA_LIBS)
