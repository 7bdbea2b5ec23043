# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/model/test_model
TESTS += tests/model/test_model
tests_model_test_model_SOURCES = %D%/test_model.c %D%/world.h
tests_model_test_model_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_model_test_model_LDADD = libtestrig.a libtest.a $(LIBS_vfs)

check_PROGRAMS += tests/model/test_mounts_model
TESTS += tests/model/test_mounts_model
tests_model_test_mounts_model_SOURCES = %D%/test_mounts_model.c %D%/mounts.h %D%/mounts_run.c \
	%D%/mounts_log.c %D%/mounts_file.c %D%/mounts_open.c %D%/mounts_handle.c %D%/mounts_names.c %D%/mounts_rest.c \
	%D%/mounts_range.c %D%/mounts_locks.c
tests_model_test_mounts_model_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_model_test_mounts_model_LDADD = libtestrig.a libtest.a $(LIBS_vfs)

# Histories of processes on real mounts: tests/system/histories.py runs the program.
check_PROGRAMS += tests/model/test_history tests/model/histories
TESTS += tests/model/test_history
tests_model_test_history_SOURCES = %D%/test_history.c %D%/history.c %D%/history.h
tests_model_test_history_LDADD = $(CMOCKA_LIBS)
tests_model_histories_SOURCES = %D%/histories.c %D%/history.c %D%/history.h
tests_model_histories_LDADD =
