# SPDX-License-Identifier: Apache-2.0
cache_tests = tests/unit/cache/test_schema tests/unit/cache/test_meta tests/unit/cache/test_open \
	tests/unit/cache/test_attr tests/unit/cache/test_list
check_PROGRAMS += $(cache_tests)
TESTS += $(cache_tests)
EXTRA_DIST += %D%/cachetest.h
tests_unit_cache_test_schema_SOURCES = %D%/test_schema.c
tests_unit_cache_test_schema_LDADD = $(LIBS_cache) $(CMOCKA_LIBS)
tests_unit_cache_test_meta_SOURCES = %D%/test_meta.c
tests_unit_cache_test_meta_LDADD = $(LIBS_cache) $(CMOCKA_LIBS)
tests_unit_cache_test_open_SOURCES = %D%/test_open.c
tests_unit_cache_test_open_LDADD = $(LIBS_cache) $(CMOCKA_LIBS)
tests_unit_cache_test_attr_SOURCES = %D%/test_attr.c
tests_unit_cache_test_attr_LDADD = $(LIBS_cache) $(CMOCKA_LIBS)
tests_unit_cache_test_list_SOURCES = %D%/test_list.c
tests_unit_cache_test_list_LDADD = $(LIBS_cache) $(CMOCKA_LIBS)
