# SPDX-License-Identifier: Apache-2.0
coord_tests = tests/unit/coord/test_record tests/unit/coord/test_session
coord_tests += tests/unit/coord/test_link
check_PROGRAMS += $(coord_tests)
TESTS += $(coord_tests)
coord_test_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib -I$(top_srcdir)/fs/coord
coord_test_ldadd = libtest.a $(LIBS_coord) $(CMOCKA_LIBS)
tests_unit_coord_test_record_SOURCES = %D%/test_record.c
tests_unit_coord_test_record_CPPFLAGS = $(coord_test_cppflags)
tests_unit_coord_test_record_LDADD = $(coord_test_ldadd)
tests_unit_coord_test_session_SOURCES = %D%/test_session.c
tests_unit_coord_test_session_CPPFLAGS = $(coord_test_cppflags)
tests_unit_coord_test_session_LDADD = $(coord_test_ldadd)
tests_unit_coord_test_link_SOURCES = %D%/test_link.c
tests_unit_coord_test_link_CPPFLAGS = $(coord_test_cppflags)
tests_unit_coord_test_link_LDADD = $(coord_test_ldadd)
