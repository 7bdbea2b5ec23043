# SPDX-License-Identifier: Apache-2.0
cache_tests = tests/unit/cache/test_schema tests/unit/cache/test_meta tests/unit/cache/test_open \
	tests/unit/cache/test_attr tests/unit/cache/test_list tests/unit/cache/test_blocks \
	tests/unit/cache/test_evict tests/unit/cache/test_stage tests/unit/cache/test_crash \
	tests/unit/cache/test_full tests/unit/cache/test_threads \
	tests/unit/cache/test_faults
cache_tests += tests/unit/cache/test_apart
tests_unit_cache_test_apart_SOURCES = %D%/test_apart.c
tests_unit_cache_test_apart_LDADD = $(LIBS_cache) $(CMOCKA_LIBS)
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
tests_unit_cache_test_blocks_SOURCES = %D%/test_blocks.c
tests_unit_cache_test_blocks_LDADD = $(LIBS_cache) $(CMOCKA_LIBS)
tests_unit_cache_test_evict_SOURCES = %D%/test_evict.c
tests_unit_cache_test_evict_LDADD = $(LIBS_cache) $(CMOCKA_LIBS)
tests_unit_cache_test_stage_SOURCES = %D%/test_stage.c
tests_unit_cache_test_stage_LDADD = $(LIBS_cache) $(CMOCKA_LIBS)
tests_unit_cache_test_crash_SOURCES = %D%/test_crash.c
tests_unit_cache_test_crash_LDADD = $(LIBS_cache) $(CMOCKA_LIBS)
tests_unit_cache_test_full_SOURCES = %D%/test_full.c
tests_unit_cache_test_full_LDADD = $(LIBS_cache) $(CMOCKA_LIBS)
tests_unit_cache_test_threads_SOURCES = %D%/test_threads.c
tests_unit_cache_test_threads_LDADD = $(LIBS_cache) $(CMOCKA_LIBS)
tests_unit_cache_test_faults_SOURCES = %D%/test_faults.c
tests_unit_cache_test_faults_LDADD = $(LIBS_cache) $(CMOCKA_LIBS)
cache_tests += tests/unit/cache/test_journal
tests_unit_cache_test_journal_SOURCES = %D%/test_journal.c
tests_unit_cache_test_journal_LDADD = $(LIBS_cache) $(CMOCKA_LIBS)
EXTRA_DIST += %D%/journaltest.h
cache_tests += tests/unit/cache/test_journal_faults
tests_unit_cache_test_journal_faults_SOURCES = %D%/test_journal_faults.c
tests_unit_cache_test_journal_faults_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib
tests_unit_cache_test_journal_faults_LDADD = libtestbaddisk.a $(LIBS_cache) $(CMOCKA_LIBS)
cache_tests += tests/unit/cache/test_journal_damage
tests_unit_cache_test_journal_damage_SOURCES = %D%/test_journal_damage.c
tests_unit_cache_test_journal_damage_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib
tests_unit_cache_test_journal_damage_LDADD = libtestbaddisk.a $(LIBS_cache) $(CMOCKA_LIBS)
cache_tests += tests/unit/cache/test_power
tests_unit_cache_test_power_SOURCES = %D%/test_power.c
tests_unit_cache_test_power_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib
tests_unit_cache_test_power_LDADD = libtestbaddisk.a $(LIBS_cache) $(CMOCKA_LIBS)
cache_tests += tests/unit/cache/test_stage_rest
tests_unit_cache_test_stage_rest_SOURCES = %D%/test_stage_rest.c
tests_unit_cache_test_stage_rest_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib
tests_unit_cache_test_stage_rest_LDADD = libtestbaddisk.a $(LIBS_cache) $(CMOCKA_LIBS)
