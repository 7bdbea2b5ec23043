# SPDX-License-Identifier: Apache-2.0
upload_tests = tests/unit/upload/test_plan
check_PROGRAMS += $(upload_tests)
TESTS += $(upload_tests)
tests_unit_upload_test_plan_SOURCES = %D%/test_plan.c
tests_unit_upload_test_plan_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_upload_test_plan_LDADD = $(LIBS_upload) $(CMOCKA_LIBS)
