# SPDX-License-Identifier: Apache-2.0
# Over the memory store, the real cache and data's fixture.
upload_tests = tests/unit/upload/test_plan tests/unit/upload/test_commit tests/unit/upload/test_multipart \
	tests/unit/upload/test_marks
check_PROGRAMS += $(upload_tests)
TESTS += $(upload_tests)
upload_harness = %D%/harness.c %D%/harness.h tests/unit/data/fixture.c tests/unit/data/fixture.h
upload_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib -I$(top_srcdir)/tests/unit/data
upload_ldadd = libtest.a $(LIBS_upload) $(CMOCKA_LIBS)
tests_unit_upload_test_plan_SOURCES = %D%/test_plan.c
tests_unit_upload_test_plan_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_upload_test_plan_LDADD = $(LIBS_upload) $(CMOCKA_LIBS)
tests_unit_upload_test_commit_SOURCES = %D%/test_commit.c $(upload_harness)
tests_unit_upload_test_commit_CPPFLAGS = $(upload_cppflags)
tests_unit_upload_test_commit_LDADD = $(upload_ldadd)
tests_unit_upload_test_multipart_SOURCES = %D%/test_multipart.c $(upload_harness)
tests_unit_upload_test_multipart_CPPFLAGS = $(upload_cppflags)
tests_unit_upload_test_multipart_LDADD = $(upload_ldadd)
tests_unit_upload_test_marks_SOURCES = %D%/test_marks.c $(upload_harness)
tests_unit_upload_test_marks_CPPFLAGS = $(upload_cppflags) -I$(top_srcdir)
tests_unit_upload_test_marks_LDADD = $(upload_ldadd)
upload_promised = tests/unit/upload/test_promised
check_PROGRAMS += $(upload_promised)
TESTS += $(upload_promised)
tests_unit_upload_test_promised_SOURCES = %D%/test_promised.c $(upload_harness)
tests_unit_upload_test_promised_CPPFLAGS = $(upload_cppflags)
tests_unit_upload_test_promised_LDADD = $(upload_ldadd)
check_PROGRAMS += tests/unit/upload/test_memory
TESTS += tests/unit/upload/test_memory
tests_unit_upload_test_memory_SOURCES = %D%/test_memory.c $(upload_harness)
tests_unit_upload_test_memory_CPPFLAGS = $(upload_cppflags)
tests_unit_upload_test_memory_LDADD = $(upload_ldadd)
