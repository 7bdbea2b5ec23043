# SPDX-License-Identifier: Apache-2.0
# libtest.a (the memory store, the conformance test) comes before libstore.a in the link order.
store_tests = tests/unit/store/test_store tests/unit/store/test_backend tests/unit/store/test_meter \
	tests/unit/store/test_memstore tests/unit/store/test_dir tests/unit/store/test_dir_uploads tests/unit/store/test_dir_key \
	tests/unit/store/test_dir_race tests/unit/store/test_dir_crash tests/unit/store/test_probe
store_tests += tests/unit/store/test_dir_names
if FAULTS
store_tests += tests/unit/store/test_fault
endif
check_PROGRAMS += $(store_tests)
TESTS += $(store_tests)
EXTRA_DIST += %D%/dirtest.h
store_test_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/lib -I$(top_srcdir)/fs/store
store_test_ldadd = libtest.a $(LIBS_store) $(CMOCKA_LIBS)
tests_unit_store_test_store_SOURCES = %D%/test_store.c
tests_unit_store_test_store_CPPFLAGS = $(store_test_cppflags)
tests_unit_store_test_store_LDADD = $(store_test_ldadd)
tests_unit_store_test_backend_SOURCES = %D%/test_backend.c
tests_unit_store_test_backend_CPPFLAGS = $(store_test_cppflags)
tests_unit_store_test_backend_LDADD = $(store_test_ldadd)
tests_unit_store_test_meter_SOURCES = %D%/test_meter.c
tests_unit_store_test_meter_CPPFLAGS = $(store_test_cppflags)
tests_unit_store_test_meter_LDADD = $(store_test_ldadd)
tests_unit_store_test_memstore_SOURCES = %D%/test_memstore.c
tests_unit_store_test_memstore_CPPFLAGS = $(store_test_cppflags)
tests_unit_store_test_memstore_LDADD = $(store_test_ldadd)
tests_unit_store_test_dir_SOURCES = %D%/test_dir.c %D%/dirfixture.h
tests_unit_store_test_dir_CPPFLAGS = $(store_test_cppflags)
tests_unit_store_test_dir_LDADD = $(store_test_ldadd)
tests_unit_store_test_dir_uploads_SOURCES = %D%/test_dir_uploads.c %D%/dirfixture.h
tests_unit_store_test_dir_uploads_CPPFLAGS = $(store_test_cppflags)
tests_unit_store_test_dir_uploads_LDADD = $(store_test_ldadd)
tests_unit_store_test_dir_key_SOURCES = %D%/test_dir_key.c
tests_unit_store_test_dir_key_CPPFLAGS = $(store_test_cppflags)
tests_unit_store_test_dir_key_LDADD = $(store_test_ldadd)
tests_unit_store_test_dir_race_SOURCES = %D%/test_dir_race.c
tests_unit_store_test_dir_race_CPPFLAGS = $(store_test_cppflags)
tests_unit_store_test_dir_race_LDADD = $(store_test_ldadd)
tests_unit_store_test_dir_crash_SOURCES = %D%/test_dir_crash.c
tests_unit_store_test_dir_crash_CPPFLAGS = $(store_test_cppflags)
tests_unit_store_test_dir_crash_LDADD = $(store_test_ldadd)
tests_unit_store_test_probe_SOURCES = %D%/test_probe.c
tests_unit_store_test_probe_CPPFLAGS = $(store_test_cppflags)
tests_unit_store_test_probe_LDADD = $(store_test_ldadd)
tests_unit_store_test_fault_SOURCES = %D%/test_fault.c
tests_unit_store_test_fault_CPPFLAGS = $(store_test_cppflags)
tests_unit_store_test_fault_LDADD = $(store_test_ldadd)
tests_unit_store_test_dir_names_SOURCES = %D%/test_dir_names.c %D%/dirfixture.h
tests_unit_store_test_dir_names_CPPFLAGS = $(store_test_cppflags)
tests_unit_store_test_dir_names_LDADD = $(store_test_ldadd)
