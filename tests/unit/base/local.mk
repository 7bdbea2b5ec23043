# SPDX-License-Identifier: Apache-2.0
base_tests = tests/unit/base/test_str tests/unit/base/test_buf tests/unit/base/test_map
base_tests += tests/unit/base/test_secret
check_PROGRAMS += $(base_tests)
TESTS += $(base_tests)
tests_unit_base_test_str_SOURCES = %D%/test_str.c
tests_unit_base_test_str_LDADD = $(LIBS_base) $(CMOCKA_LIBS)
tests_unit_base_test_buf_SOURCES = %D%/test_buf.c
tests_unit_base_test_buf_LDADD = $(LIBS_base) $(CMOCKA_LIBS)
tests_unit_base_test_map_SOURCES = %D%/test_map.c
tests_unit_base_test_map_LDADD = $(LIBS_base) $(CMOCKA_LIBS)
tests_unit_base_test_secret_SOURCES = %D%/test_secret.c
tests_unit_base_test_secret_LDADD = $(LIBS_base) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/base/test_budget
TESTS += tests/unit/base/test_budget
tests_unit_base_test_budget_SOURCES = %D%/test_budget.c
tests_unit_base_test_budget_LDADD = $(LIBS_base) $(CMOCKA_LIBS)
