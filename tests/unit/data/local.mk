# SPDX-License-Identifier: Apache-2.0
data_tests = tests/unit/data/test_extents tests/unit/data/test_prefetch
check_PROGRAMS += $(data_tests)
TESTS += $(data_tests)
tests_unit_data_test_extents_SOURCES = %D%/test_extents.c
tests_unit_data_test_extents_LDADD = $(LIBS_data) $(CMOCKA_LIBS)
tests_unit_data_test_prefetch_SOURCES = %D%/test_prefetch.c
tests_unit_data_test_prefetch_LDADD = $(LIBS_data) $(CMOCKA_LIBS)
