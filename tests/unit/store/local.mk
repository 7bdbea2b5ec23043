# SPDX-License-Identifier: Apache-2.0
# libtest.a (the memory store, the conformance test) is above libstore.a in the link order.
store_tests = tests/unit/store/test_memstore tests/unit/store/test_dir
check_PROGRAMS += $(store_tests)
TESTS += $(store_tests)
store_test_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib -I$(top_srcdir)/fs/store
store_test_ldadd = libtest.a $(LIBS_store) $(CMOCKA_LIBS)
tests_unit_store_test_memstore_SOURCES = %D%/test_memstore.c
tests_unit_store_test_memstore_CPPFLAGS = $(store_test_cppflags)
tests_unit_store_test_memstore_LDADD = $(store_test_ldadd)
tests_unit_store_test_dir_SOURCES = %D%/test_dir.c %D%/dirtest.h
tests_unit_store_test_dir_CPPFLAGS = $(store_test_cppflags)
tests_unit_store_test_dir_LDADD = $(store_test_ldadd)
