# SPDX-License-Identifier: Apache-2.0
# libtest.a (the memory store, the conformance test) is above libstore.a in the link order.
store_tests = tests/unit/store/test_memstore
check_PROGRAMS += $(store_tests)
TESTS += $(store_tests)
tests_unit_store_test_memstore_SOURCES = %D%/test_memstore.c
tests_unit_store_test_memstore_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib
tests_unit_store_test_memstore_LDADD = libtest.a $(LIBS_store) $(CMOCKA_LIBS)
