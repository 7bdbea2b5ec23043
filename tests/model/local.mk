# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/model/test_model
TESTS += tests/model/test_model
tests_model_test_model_SOURCES = %D%/test_model.c
tests_model_test_model_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_model_test_model_LDADD = libtestrig.a libtest.a $(LIBS_vfs)
