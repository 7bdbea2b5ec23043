# SPDX-License-Identifier: Apache-2.0
# fixture.c: the memory store, the real cache in a directory of its own, and data over both.
data_tests = tests/unit/data/test_extents tests/unit/data/test_prefetch tests/unit/data/test_file \
	tests/unit/data/test_read tests/unit/data/test_fetch tests/unit/data/test_commit \
	tests/unit/data/test_model tests/unit/data/test_move tests/unit/data/test_race
check_PROGRAMS += $(data_tests)
TESTS += $(data_tests)
data_fixture = %D%/fixture.c %D%/fixture.h
data_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib
data_ldadd = $(LIBS_data) $(CMOCKA_LIBS)
tests_unit_data_test_extents_SOURCES = %D%/test_extents.c
tests_unit_data_test_extents_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_data_test_extents_LDADD = $(data_ldadd)
tests_unit_data_test_prefetch_SOURCES = %D%/test_prefetch.c
tests_unit_data_test_prefetch_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_unit_data_test_prefetch_LDADD = $(data_ldadd)
tests_unit_data_test_file_SOURCES = %D%/test_file.c $(data_fixture)
tests_unit_data_test_file_CPPFLAGS = $(data_cppflags)
tests_unit_data_test_file_LDADD = libtest.a $(data_ldadd)
tests_unit_data_test_read_SOURCES = %D%/test_read.c $(data_fixture)
tests_unit_data_test_read_CPPFLAGS = $(data_cppflags)
tests_unit_data_test_read_LDADD = libtest.a $(data_ldadd)
tests_unit_data_test_fetch_SOURCES = %D%/test_fetch.c $(data_fixture)
tests_unit_data_test_fetch_CPPFLAGS = $(data_cppflags)
tests_unit_data_test_fetch_LDADD = libtest.a $(data_ldadd)
tests_unit_data_test_commit_SOURCES = %D%/test_commit.c $(data_fixture)
tests_unit_data_test_commit_CPPFLAGS = $(data_cppflags)
tests_unit_data_test_commit_LDADD = libtest.a $(data_ldadd)
tests_unit_data_test_move_SOURCES = %D%/test_move.c $(data_fixture)
tests_unit_data_test_move_CPPFLAGS = $(data_cppflags)
tests_unit_data_test_move_LDADD = libtest.a $(data_ldadd)
tests_unit_data_test_model_SOURCES = %D%/test_model.c $(data_fixture)
tests_unit_data_test_model_CPPFLAGS = $(data_cppflags)
tests_unit_data_test_model_LDADD = libtest.a $(data_ldadd)
tests_unit_data_test_race_SOURCES = %D%/test_race.c $(data_fixture)
tests_unit_data_test_race_CPPFLAGS = $(data_cppflags)
tests_unit_data_test_race_LDADD = libtest.a $(data_ldadd)
data_tests += tests/unit/data/test_holes
tests_unit_data_test_holes_SOURCES = %D%/test_holes.c $(data_fixture)
tests_unit_data_test_holes_CPPFLAGS = $(data_cppflags)
tests_unit_data_test_holes_LDADD = libtest.a $(data_ldadd)
data_tests += tests/unit/data/test_journal
tests_unit_data_test_journal_SOURCES = %D%/test_journal.c $(data_fixture)
tests_unit_data_test_journal_CPPFLAGS = $(data_cppflags)
tests_unit_data_test_journal_LDADD = libtest.a $(data_ldadd)
