# SPDX-License-Identifier: Apache-2.0
check_tests = tests/unit/check/test_keys
check_tests += tests/unit/check/test_records
check_tests += tests/unit/check/test_uploads
check_tests += tests/unit/check/test_scrub
check_tests += tests/unit/check/test_mend
check_PROGRAMS += $(check_tests)
TESTS += $(check_tests)
check_test_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib
check_test_ldadd = libtest.a $(LIBS_check) $(CMOCKA_LIBS)
tests_unit_check_test_keys_SOURCES = %D%/test_keys.c
tests_unit_check_test_keys_CPPFLAGS = $(check_test_cppflags)
tests_unit_check_test_keys_LDADD = $(check_test_ldadd)
tests_unit_check_test_records_SOURCES = %D%/test_records.c
tests_unit_check_test_records_CPPFLAGS = $(check_test_cppflags)
tests_unit_check_test_records_LDADD = $(check_test_ldadd)
tests_unit_check_test_uploads_SOURCES = %D%/test_uploads.c
tests_unit_check_test_uploads_CPPFLAGS = $(check_test_cppflags)
tests_unit_check_test_uploads_LDADD = $(check_test_ldadd)
tests_unit_check_test_scrub_SOURCES = %D%/test_scrub.c
tests_unit_check_test_scrub_CPPFLAGS = $(check_test_cppflags)
tests_unit_check_test_scrub_LDADD = $(check_test_ldadd)
# With mounts: what finishes a rename is vfs's.
tests_unit_check_test_mend_SOURCES = %D%/test_mend.c tests/unit/vfs/dyingmount.h
tests_unit_check_test_mend_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_check_test_mend_LDADD = libtestrig.a libtest.a libcheck.a $(LIBS_vfs) $(CMOCKA_LIBS)
EXTRA_DIST += %D%/checktest.h
